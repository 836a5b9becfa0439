// What goes wrong, as PostgREST says it: an HTTP status, and a body {code, message, details, hint}.

export class HttpError extends Error {
  constructor(status, code, message, details = null, hint = null) {
    super(message);
    Object.assign(this, { status, code, details, hint });
  }

  get body() {
    return { code: this.code, details: this.details, hint: this.hint, message: this.message };
  }
}

// A form of request that this stand-in was not taught: PostgREST may well know it.
export const notKnown = (what) => new HttpError(501, 'STANDIN', `the stand-in does not know ${what}`);

// The first that fits; the longer the beginning, the earlier it stands.
const STATUS_OF_STATE = [
  [/^(25006)$/, 405],
  [/^(23503|23505)$/, 409],
  [/^(42883|42P01)$/, 404],
  [/^(42P17|53400)$/, 500],
  [/^(21000|22|23|42|P0001)/, 400],
  [/^(0L|0P|28)/, 403],
  [/^(08|53)/, 503],
  [/^(09|25|2D|38|39|3B|40|54|55|57|58|F0|HV|P0|XX)/, 500],
];

function statusOf(state, anonymous) {
  if (state === '42501') return anonymous ? 401 : 403;
  const chosen = /^PT(\d{3})$/.exec(state);
  if (chosen) return Number(chosen[1]);
  return STATUS_OF_STATE.find(([pattern]) => pattern.test(state))?.[1] ?? 400;
}

// An error that the server raised. One without SQLSTATE is a lost connection.
export function fromPostgres(error, anonymous) {
  if (!error.severity) return new HttpError(503, 'PGRST001', 'Database client error', error.message);
  if (error.code === 'PGRST') return notKnown('an error of a function with the SQLSTATE PGRST');
  return new HttpError(statusOf(error.code, anonymous), error.code, error.message, error.detail ?? null,
    error.hint ?? null);
}
