-- Closes a bucket: one step from the state before to the state after.
--
-- KEYS  1 meta  2 pos  3 open  4 n  5 td  6 te  7 cw  8 cb  9 alerts  10 aq  11 am  12 prov  13 hb
--       14 o:  15 oc:  16 c:  17 f:  18 h:  (14-18: families)
-- ARGV  1 settings  2 schema  3 expected closed ('' for none)  4 bucket  5 packed roster (fields of pos)
--       6 counted entries expected  7 expected chain  8 chain  9 memo  10 packed tokens of the chunks
--       11 packed [expected drugs, expected events]  12 packed new drugs  13 packed new events
--       14 packed alerts [id, record, ...], in order of id  15 packed later versions of cases, for the rules
-- Returns 1, or 0 if it may not: another bucket is the last closed one, the watermarks don't allow it, a chunk is gone.
-- Errors  DIRTY SETTINGS SCHEMA  CONFLICT (nothing is written)
local meta, pos, open, counted, drugs, events, chunks, closed_buckets = unpack(KEYS, 1, 8)
local alerts, order, marks, provisional, history = unpack(KEYS, 9, 13)
local entries, changes, cases, followed, alarms = unpack(KEYS, 14, 18)
local bucket = ARGV[4]

-- 1. Validate; up to the dirty mark nothing is written.
local refusal, closed = guard(meta, ARGV[1], ARGV[2])
if refusal then return refusal end
if (closed or '') ~= ARGV[3] then return 0 end
if next_close(pos, cmsgpack.unpack(ARGV[5]), open, counted, closed) ~= tonumber(bucket) then return 0 end
local tokens = cmsgpack.unpack(ARGV[10])
for _, token in ipairs(tokens) do
  if redis.call('SISMEMBER', chunks, token) == 0 then return 0 end
end
local m = redis.call('HMGET', meta, 'chain', 'alert_seq', 'alert_mark')
local function conflict(what, expected, found)
  local message = 'CONFLICT close of %s: %s %s expected, %s found'
  return redis.error_reply(string.format(message, bucket, what, expected, tostring(found)))
end
if (m[1] or '') ~= ARGV[7] then return conflict('chain', ARGV[7], m[1] or '') end
if redis.call('HGET', counted, bucket) ~= ARGV[6] then
  return conflict('counted entries', ARGV[6], redis.call('HGET', counted, bucket))
end
local known, new_drugs, new_events = cmsgpack.unpack(ARGV[11]), cmsgpack.unpack(ARGV[12]), cmsgpack.unpack(ARGV[13])
if redis.call('LLEN', drugs) ~= known[1] then return conflict('drugs', known[1], redis.call('LLEN', drugs)) end
if redis.call('LLEN', events) ~= known[2] then return conflict('events', known[2], redis.call('LLEN', events)) end

-- 2. From here on the script writes.
redis.call('HSET', meta, 'dirty', 'commit')
slices(#new_drugs, function(first, last) redis.call('RPUSH', drugs, unpack(new_drugs, first, last)) end)
slices(#new_events, function(first, last) redis.call('RPUSH', events, unpack(new_events, first, last)) end)

-- The bucket's entries stay as cases of the evidence; buckets of duplicates alone are dropped on the way.
for _, passed in ipairs(redis.call('ZRANGEBYSCORE', open, '-inf', bucket)) do
  if passed == bucket then
    redis.call('RENAME', entries .. passed, cases .. passed)
  else
    redis.call('UNLINK', entries .. passed)
  end
  redis.call('UNLINK', changes .. passed)
  redis.call('HDEL', counted, passed)
end
redis.call('ZREMRANGEBYSCORE', open, '-inf', bucket)
redis.call('ZADD', closed_buckets, bucket, bucket)
redis.call('DEL', chunks)
local later = cmsgpack.unpack(ARGV[15])
slices(#later, function(first, last) redis.call('RPUSH', followed .. bucket, unpack(later, first, last)) end)

-- Provisional alerts of the bucket have had their time; the publisher withdraws those that were not raised.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', provisional, '-inf', bucket)) do
  redis.call('HDEL', alerts, id)
  redis.call('ZREM', order, id)
end
redis.call('ZREMRANGEBYSCORE', provisional, '-inf', bucket)

local raised = cmsgpack.unpack(ARGV[14])
if #raised > 0 then
  local seq, sum = tonumber(m[2] or 0), {m[3] or '', bucket}
  for i = 1, #raised, 2 do
    local id, record = raised[i], raised[i + 1]
    seq = seq + 1
    redis.call('HSET', alerts, id, '1:' .. bucket .. ':' .. record)
    redis.call('ZADD', order, seq, id)
    redis.call('ZREM', provisional, id)
    redis.call('RPUSH', alarms .. bucket, record)
    sum[#sum + 1] = id
  end
  redis.call('ZADD', history, bucket, bucket)
  local mark = redis.sha1hex(table.concat(sum, ' '))
  redis.call('HSET', meta, 'alert_seq', string.format('%.0f', seq), 'alert_mark', mark)
  redis.call('LPUSH', marks, string.format('%.0f', seq) .. ':' .. mark)
  redis.call('LTRIM', marks, 0, 255)
end
redis.call('HSET', meta, 'closed', bucket, 'chain', ARGV[8], 'memo', ARGV[9])
redis.call('HINCRBY', meta, 'ordinal', 1)

-- 3. Whole again.
redis.call('HDEL', meta, 'dirty')
return 1
