// Functions that C code calls of extensions, ours and pg_cron.
//
// Any role that may create functions in the schema can take over a call by name: with an overload that fits better, or,
// after DROP EXTENSION, with the very same signature. So a function is found by its exact signature, proved to be the
// extension's, and called by oid. An oid is not kept beyond the call, because the extension may be dropped and made
// anew; a DROP between the look and the call makes the call fail.
#pragma once

#include "prelude.hpp"

namespace pg {

struct Signature {
    const char *extension;
    const char *schema;
    const char *name;
    std::span<const Oid> arguments;
};

// The function with exactly these arguments that is a member of the extension and owned by a superuser. Membership is
// not enough, because the owner of an extension, who need not be a superuser, may add functions of that role to it.
// Returns InvalidOid if there is none.
Oid find_extension_function(const Signature &signature);

// The same. Raises 42883 if there is none.
Oid extension_function(const Signature &signature);

// Raises 42501 unless the current role may execute it, function or procedure. OidFunctionCallN() does not check; the
// executor does so for SQL.
void require_execute(Oid function);

} // namespace pg
