// JSON web tokens, signed with HMAC-SHA-256, the kind of a Supabase project's keys and of its users' tokens.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { HttpError } from './errors.mjs';

const LEEWAY = 30; // seconds that clocks may differ

const encode = (object) => Buffer.from(JSON.stringify(object)).toString('base64url');
const decode = (text) => JSON.parse(Buffer.from(text, 'base64url'));
const signature = (text, secret) => createHmac('sha256', secret).update(text).digest();

export function sign(claims, secret) {
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${text}.${signature(text, secret).toString('base64url')}`;
}

const refused = (code, message) => new HttpError(401, code, message);

// The claims of a token. Throws a 401 unless we signed it and it holds now.
export function verify(token, secret) {
  const parts = token.split('.');
  if (parts.length !== 3)
    throw refused('PGRST301', `Expected 3 parts in JWT; got ${parts.length}`);
  const given = Buffer.from(parts[2], 'base64url');
  const expected = signature(`${parts[0]}.${parts[1]}`, secret);
  let header, claims;
  try {
    [header, claims] = parts.slice(0, 2).map(decode);
  } catch {
    throw refused('PGRST301', 'JWT cryptographic operation failed');
  }
  if (header.alg !== 'HS256' || given.length !== expected.length || !timingSafeEqual(given, expected))
    throw refused('PGRST301', 'No suitable key or wrong key type');
  const now = Date.now() / 1000;
  if (claims.exp !== undefined && claims.exp < now - LEEWAY) throw refused('PGRST303', 'JWT expired');
  if (claims.nbf !== undefined && claims.nbf > now + LEEWAY) throw refused('PGRST303', 'JWT not yet valid');
  return claims;
}
