// A row for the caller, made column after column from the first on. Columns that were not added are null. It holds
// Datums and copies nothing: what they point to must live until the row is put or formed.
#pragma once

#include "pg/types.hpp"

namespace pg {

class RowBuilder {
public:
    // `types`: a constant that outlives the row, 32 columns at most. add() raises XX000 for a value of another type
    // than its column and for one column too many: the code that adds it is wrong. A Nullable has no type to compare,
    // and is taken as it is.
    explicit RowBuilder(RowType types) : types_(types)
    {
        if (types.size() > most)
            elog(ERROR, "a row of %zu columns is too wide", types.size());
        std::memset(nulls_, true, types.size());
    }

    RowBuilder &add(Nullable value) { return append(value, InvalidOid); }
    RowBuilder &add(const pg_uuid_t *id) { return append(UUIDPGetDatum(id), UUIDOID); }
    RowBuilder &add(bool flag) { return append(BoolGetDatum(flag), BOOLOID); }
    RowBuilder &add(std::int32_t number) { return append(Int32GetDatum(number), INT4OID); }
    RowBuilder &add(std::int64_t number) { return append(Int64GetDatum(number), INT8OID); }
    RowBuilder &add(const char *text)
    {
        return append(text != nullptr ? Nullable(CStringGetTextDatum(text)) : Nullable{}, TEXTOID);
    }
    RowBuilder &add(std::optional<TimestampTz> time)
    {
        return append(time ? Nullable(TimestampTzGetDatum(*time)) : Nullable{}, TIMESTAMPTZOID);
    }
    // A Datum is an integer to C++, and would be added as an int8 or as a bool.
    RowBuilder &add(Datum) = delete;

    RowType types() const { return types_; }
    const Datum *values() const { return values_; }
    const bool *nulls() const { return nulls_; }
    HeapTuple form(TupleDesc descriptor) const
    {
        Assert(descriptor->natts == static_cast<int>(types_.size()));
        return heap_form_tuple(descriptor, const_cast<Datum *>(values_), const_cast<bool *>(nulls_));
    }

private:
    RowBuilder &append(Nullable value, Oid type)
    {
        if (count_ == types_.size() || (OidIsValid(type) && !stands_for(type, types_[count_])))
            elog(ERROR, "column %zu of a row cannot have the type %u", count_ + 1, type);
        values_[count_] = value.value;
        nulls_[count_++] = value.null;
        return *this;
    }

    static constexpr std::size_t most = 32;
    RowType types_;
    std::size_t count_ = 0;
    Datum values_[most];
    bool nulls_[most];
};

} // namespace pg
