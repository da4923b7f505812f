-- Writes a part of a close under the number of its bucket, where readers don't look before the commit.
-- Repeating it changes nothing. What was written is noted last: a commit finds out if Redis was set back in between.
--
-- KEYS  1 meta  2 w  3 cw  4.. drug and evidence keys
-- ARGV  1 settings  2 schema  3 expected closed ('' for none)  4 bucket  5 token of the chunk
--       6 packed {aggregate or '', [index of key, blob, ...], [[index of key, member, ...], ...]}
-- Returns 1, or 0 if another bucket than expected is the last closed one.
-- Errors  DIRTY SETTINGS SCHEMA
local meta, aggregates, chunks = unpack(KEYS, 1, 3)
local bucket = ARGV[4]
local refusal, closed = guard(meta, ARGV[1], ARGV[2])
if refusal then return refusal end
if (closed or '') ~= ARGV[3] then return 0 end
local aggregate, drugs, evidence = unpack(cmsgpack.unpack(ARGV[6]))

if aggregate ~= '' then redis.call('HSET', aggregates, bucket, aggregate) end
for i = 1, #drugs, 2 do
  local key = KEYS[3 + drugs[i]]
  -- Of the older states only the newest committed one is still read.
  local older, newest = {}, nil
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local number = tonumber(field)
    if closed and number <= tonumber(closed) then
      older[#older + 1] = field
      if not newest or number > newest then newest = number end
    end
  end
  for _, field in ipairs(older) do
    if tonumber(field) ~= newest then redis.call('HDEL', key, field) end
  end
  redis.call('HSET', key, bucket, drugs[i + 1])
end
for _, cases in ipairs(evidence) do
  local key = KEYS[3 + cases[1]]
  for i = 2, #cases do redis.call('ZADD', key, bucket, cases[i]) end
end
redis.call('SADD', chunks, ARGV[5])
return 1
