// The claims of the request's JWT: the one place that reads them, for new jobs and for the policies (sql/parts/44).
//
// PostgREST sets request.jwt.claims to a JSON object, older ones request.jwt.claim.<name> to each claim, which wins.
// Either is an empty text after the first transaction of a pooled connection. Any session may set them, so they say
// who a caller is only where its role is one that PostgREST gives; what that role may do is the policies' business.
//
// Nothing here raises for what a JWT says: a claim that is not what it should be counts as none, and then the policies
// show no row. An error would fail each read of every user of an identity provider that names its organisations in a
// way of its own.
#pragma once

#include "pg/types.hpp"
#include "prelude.hpp"

namespace job {

// The organisation that the request is for: `org_id`, or else `app_metadata.org_id`, whichever is a uuid first. Never
// `user_metadata`, which users write themselves. Null: neither is.
pg::Nullable organisation_of_request();

// The user who asks: `sub`. Null where it is no uuid: other identity providers name users otherwise.
pg::Nullable user_of_request();

// While it lives, the error of an INSERT into `jobs` that row security refuses says for which organisation the job is,
// which one the claims name, and where that is set; and where a foreign key doesn't know the nil organisation, that the
// job names none. Nothing in it is of another tenant: the caller has named both. An
// error skips the destructor; whoever catches it sets error_context_stack back.
class ExplainRefusal {
public:
    // `organisation`: of the row; it is read when there is such an error.
    explicit ExplainRefusal(Datum organisation) : organisation_(organisation)
    {
        callback_ = {error_context_stack, explain, this};
        error_context_stack = &callback_;
    }
    ~ExplainRefusal() { error_context_stack = callback_.previous; }
    ExplainRefusal(const ExplainRefusal &) = delete;
    ExplainRefusal &operator=(const ExplainRefusal &) = delete;

private:
    static void explain(void *self);

    Datum organisation_;
    ErrorContextCallback callback_;
};

} // namespace job
