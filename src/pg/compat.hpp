// Everything that differs between PostgreSQL 15, 17 and 18, in this one file, but for a header that prelude.hpp
// includes. Included by prelude.hpp alone; script/lint refuses PG_VERSION_NUM elsewhere. Each difference begins with
// the version that brought it.
#pragma once

namespace pg {

// 16: table_tuple_update says which kinds of index need a new entry, not only whether (commit 19d8e2308b).
#if PG_VERSION_NUM >= 160000
using IndexesToUpdate = TU_UpdateIndexes;
inline bool any_index_to_update(IndexesToUpdate indexes) { return indexes != TU_None; }
inline bool only_summarizing(IndexesToUpdate indexes) { return indexes == TU_Summarizing; }
#else
using IndexesToUpdate = bool;
inline bool any_index_to_update(IndexesToUpdate indexes) { return indexes; }
inline bool only_summarizing(IndexesToUpdate) { return false; }
#endif

// 16: ExecInsertIndexTuples can be told to update summarizing indexes alone (same commit).
inline List *insert_index_tuples(ResultRelInfo *relation, TupleTableSlot *slot, EState *estate, bool update,
                                 bool no_dup_error, bool *conflict, List *arbiters,
                                 [[maybe_unused]] bool summarizing_only)
{
#if PG_VERSION_NUM >= 160000
    return ExecInsertIndexTuples(relation, slot, estate, update, no_dup_error, conflict, arbiters, summarizing_only);
#else
    return ExecInsertIndexTuples(relation, slot, estate, update, no_dup_error, conflict, arbiters);
#endif
}

// 17: an index may keep something between insertions, which ends here (commit c1ec02be1d).
inline void end_index_inserts([[maybe_unused]] Relation index, [[maybe_unused]] IndexInfo *info)
{
#if PG_VERSION_NUM >= 170000
    index_insert_cleanup(index, info);
#endif
}

// 18: the check for conflicts takes the tuple that does not count (commit 6dbb490261).
inline bool no_conflict(ResultRelInfo *relation, TupleTableSlot *slot, EState *estate, ItemPointer conflict,
                        List *arbiters)
{
#if PG_VERSION_NUM >= 180000
    return ExecCheckIndexConstraints(relation, slot, estate, conflict, nullptr, arbiters);
#else
    return ExecCheckIndexConstraints(relation, slot, estate, conflict, arbiters);
#endif
}

// 18: index scans take an instrumentation argument (commit 0fbceae841).
inline IndexScanDesc begin_index_scan(Relation table, Relation index, Snapshot snapshot, int keys)
{
#if PG_VERSION_NUM >= 180000
    return index_beginscan(table, index, snapshot, nullptr, keys, 0);
#else
    return index_beginscan(table, index, snapshot, keys, 0);
#endif
}

// 16: an input that can't be read may say why (soft errors).
inline int decode_datetime(char **fields, int *types, int count, int *kind, pg_tm *time, fsec_t *fraction, int *zone)
{
#if PG_VERSION_NUM >= 160000
    DateTimeErrorExtra details;
    return DecodeDateTime(fields, types, count, kind, time, fraction, zone, &details);
#else
    return DecodeDateTime(fields, types, count, kind, time, fraction, zone);
#endif
}

// 17: transaction_timeout (commit 51efe38cb9).
inline constexpr TimeoutId timeouts_of_a_call[] = {STATEMENT_TIMEOUT,
#if PG_VERSION_NUM >= 170000
                                                   TRANSACTION_TIMEOUT
#endif
};
// The longest that a transaction may last, in milliseconds; 0: any time. It ends the session.
inline int longest_transaction()
{
#if PG_VERSION_NUM >= 170000
    return TransactionTimeout;
#else
    return 0;
#endif
}
inline constexpr const char *timeout_settings[] = {"statement_timeout", "idle_in_transaction_session_timeout",
#if PG_VERSION_NUM >= 170000
                                                   "transaction_timeout"
#endif
};

// 16: one ownership check for all catalogs (commit afbfc02983).
inline bool owns_table(Oid table, Oid role)
{
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(RelationRelationId, table, role);
#else
    return pg_class_ownercheck(table, role);
#endif
}

// 16: one privilege check for all catalogs (commit c727f511bd).
inline bool may_use_schema(Oid schema, Oid role)
{
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK;
#else
    return pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK;
#endif
}

// 16: the same for functions.
inline bool may_execute(Oid function, Oid role)
{
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
#else
    return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

// 16: the same for languages.
inline bool may_use_language(Oid language, Oid role)
{
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(LanguageRelationId, language, role, ACL_USAGE) == ACLCHECK_OK;
#else
    return pg_language_aclcheck(language, role, ACL_USAGE) == ACLCHECK_OK;
#endif
}

// 16: TRUNCATE can run as the owner of each table (commit 1e08576691).
inline void truncate_relations(List *relations, List *oids)
{
#if PG_VERSION_NUM >= 160000
    ExecuteTruncateGuts(relations, oids, NIL, DROP_RESTRICT, false, false);
#else
    ExecuteTruncateGuts(relations, oids, NIL, DROP_RESTRICT, false);
#endif
}

// 18: TupleDescAttr's array may be compact; only the macro may be used, on every version.
inline Form_pg_attribute attribute(TupleDesc descriptor, int number) { return TupleDescAttr(descriptor, number - 1); }

// 16: what a check hook hands on lives in memory of the settings' own (commit 407b50f2d4); before, in malloc's.
inline void *setting_memory(std::size_t size)
{
#if PG_VERSION_NUM >= 160000
    return guc_malloc(LOG, size);
#else
    return malloc(size);
#endif
}

// 17: intervals may be infinite (commit 519fc1bd9e).
inline bool finite(const Interval *interval)
{
#ifdef INTERVAL_NOT_FINITE
    return !INTERVAL_NOT_FINITE(interval);
#else
    (void)interval;
    return true;
#endif
}

// 17: a process has a number; before, its entry in shared memory has one (commit 024c521117).
inline std::uint32_t my_process_number()
{
#if PG_VERSION_NUM >= 170000
    return static_cast<std::uint32_t>(MyProcNumber);
#else
    return static_cast<std::uint32_t>(MyProc->pgprocno);
#endif
}

// 17: wait events of extensions have names (commit c9af054653). Looked up once in a process, in `known`.
inline std::uint32_t wait_event([[maybe_unused]] std::uint32_t &known, [[maybe_unused]] const char *name)
{
#if PG_VERSION_NUM >= 170000
    if (known == 0)
        known = WaitEventExtensionNew(name);
    return known;
#else
    return PG_WAIT_EXTENSION;
#endif
}

// 16: one ownership check for all catalogs (commit afbfc02983).
inline bool owns_database(Oid database, Oid role)
{
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(DatabaseRelationId, database, role);
#else
    return pg_database_ownercheck(database, role);
#endif
}

// 17: a lexer's memory may be the caller's (commit 1c99cde2f3). One that reads escapes, too.
inline JsonLexContext *json_lexer(const char *text)
{
    const int length = static_cast<int>(std::strlen(text));
#if PG_VERSION_NUM >= 170000
    return makeJsonLexContextCstringLen(nullptr, text, length, GetDatabaseEncoding(), true);
#else
    return makeJsonLexContextCstringLen(const_cast<char *>(text), length, GetDatabaseEncoding(), true);
#endif
}

} // namespace pg
