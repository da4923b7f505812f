-- What can be closed now, and what the close starts from.
--
-- KEYS  1 meta  2 pos  3 open  4 n  5 td  6 te
-- ARGV  1 settings  2 schema  3 packed roster (fields of pos)
-- Returns {closed or false, bucket, counted entries in it, ordinal, chain, drugs, events}, or false if nothing can be.
-- Errors  DIRTY SETTINGS SCHEMA
local meta, pos, open, counted, drugs, events = unpack(KEYS)
local refusal, closed = guard(meta, ARGV[1], ARGV[2])
if refusal then return refusal end
local bucket = next_close(pos, cmsgpack.unpack(ARGV[3]), open, counted, closed)
if not bucket then return false end
local m = redis.call('HMGET', meta, 'ordinal', 'chain')
return {
  closed, bucket, tonumber(redis.call('HGET', counted, bucket)), tonumber(m[1] or 0), m[2] or '',
  redis.call('LLEN', drugs), redis.call('LLEN', events),
}
