// Random choices that a seed repeats. What happens in a soak does not repeat with it, since processes race; what is
// tried does.

export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  // Of its own, so that what one client meets does not change what another one tries.
  fork(number) {
    return new Random(Math.imul(this.#state ^ (number + 1), 0x9e3779b1));
  }

  // In [0, 1): mulberry32.
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  // An integer from low to high, both included.
  between(low, high) {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability) {
    return this.next() < probability;
  }

  of(list) {
    return list[this.between(0, list.length - 1)];
  }

  // Of [weight, value] pairs.
  weighted(pairs) {
    let left = this.next() * pairs.reduce((sum, [weight]) => sum + weight, 0);
    return (pairs.find(([weight]) => (left -= weight) < 0) ?? pairs.at(-1))[1];
  }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
