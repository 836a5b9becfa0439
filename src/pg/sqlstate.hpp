// SQLSTATEs of our own. PostgREST turns PTxyz into the HTTP status xyz, so a client over HTTP sees 404, 409 or 413; to
// others they are codes like any.
#pragma once

#include "prelude.hpp"

namespace sqlstate {

constexpr int not_found = MAKE_SQLSTATE('P', 'T', '4', '0', '4');
constexpr int conflict = MAKE_SQLSTATE('P', 'T', '4', '0', '9');
constexpr int too_large = MAKE_SQLSTATE('P', 'T', '4', '1', '3');
constexpr int bad_argument = ERRCODE_INVALID_PARAMETER_VALUE;

} // namespace sqlstate
