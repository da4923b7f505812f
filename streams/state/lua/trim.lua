-- Forgets keys and follow-ups of one bucket that lies beyond the horizon, a limited number at a time.
--
-- KEYS  1 meta  2 k  3 held  4 fu  5 kb:<bucket>  6 fb:<bucket>
-- ARGV  1 settings  2 schema  3 expected closed  4 bucket  5 last bucket that is beyond the horizon of keys
--       6 how many at a time
-- Returns 1 if there is more of the bucket, else 0; 0 also if another bucket than expected is the last closed one.
-- Errors  DIRTY SETTINGS SCHEMA
local meta, k, held, fu, held_keys, held_cases = unpack(KEYS)
local refusal, closed = guard(meta, ARGV[1], ARGV[2])
if refusal then return refusal end
if closed ~= ARGV[3] then return 0 end
local last, limit = tonumber(ARGV[5]), tonumber(ARGV[6])

-- Drops the groups of `width` that begin with a bucket <= last.
local function forget(hash, keys, width)
  for _, key in ipairs(keys) do
    local packed = redis.call('HGET', hash, key)
    if packed then
      local kept, list = {}, cmsgpack.unpack(packed)
      for i = 1, #list, width do
        if list[i] > last then
          for j = i, i + width - 1 do kept[#kept + 1] = list[j] end
        end
      end
      if #kept == 0 then
        redis.call('HDEL', hash, key)
      elseif #kept < #list then
        redis.call('HSET', hash, key, cmsgpack.pack(kept))
      end
    end
  end
  return #keys
end

-- Members leave the set only after their keys are trimmed: a failure in between is repeated, not forgotten.
local function some(set, hash, width)
  local keys = redis.call('SRANDMEMBER', set, limit)
  local n = forget(hash, keys, width)
  slices(n, function(first, to) redis.call('SREM', set, unpack(keys, first, to)) end)
  return n == limit
end
local more = some(held_keys, k, 2)
more = some(held_cases, fu, 3) or more
if more then return 1 end
redis.call('ZREM', held, ARGV[4])
return 0
