-- Applies a batch of an assessments partition, iff it starts where the last one ended.
--
-- KEYS  1 meta  2 pos  3 count  4 open  5 n  6 k  7 held  8 fu  9 o:  10 oc:  11 kb:  12 fb:  (9-12: families)
-- ARGV  1 settings  2 schema  3 horizon  4 field of the partition in pos  5 a0  6 a1
--       7 packed roster (fields of pos)  8 packed [field, state, ...] of sources that moved
--       9 the same as the batch was computed from  10 packed [outcome, number, ...]
--       11 packed cases [bucket, position, late, keys, contribution, version]
-- Returns {1, counted, duplicate, late, closable bucket or false}, or {0, next_a} if the batch starts elsewhere or was
--         computed from other sources than these.
-- Errors  DIRTY SETTINGS SCHEMA  CONFLICT (nothing is written)
local meta, pos, count, open, counted, k, held, fu = unpack(KEYS, 1, 8)
local entries, changes, held_keys, held_cases = unpack(KEYS, 9, 12)
local horizon, field, a0, a1 = tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]

-- 1. Validate everything; up to the dirty mark nothing is written.
local refusal, closed_at, new = guard(meta, ARGV[1], ARGV[2])
if refusal then return refusal end
local closed = closed_at and tonumber(closed_at)
local next_a = redis.call('HGET', pos, field) or '0'
if next_a ~= a0 then return {0, tonumber(next_a)} end
local roster, sources, before = cmsgpack.unpack(ARGV[7]), cmsgpack.unpack(ARGV[8]), cmsgpack.unpack(ARGV[9])
local outcomes, cases = cmsgpack.unpack(ARGV[10]), cmsgpack.unpack(ARGV[11])
for i = 1, #before, 2 do
  if (redis.call('HGET', pos, before[i]) or '0||') ~= before[i + 1] then return {0, tonumber(next_a)} end
end
local names, seen = {}, {}
for _, case in ipairs(cases) do
  if closed and case[1] <= closed then
    return redis.error_reply('CONFLICT ' .. case[2] .. ' falls in bucket ' .. case[1] .. ', closed is ' .. closed)
  end
  for _, key in ipairs(case[4]) do
    if not seen[key] then
      seen[key] = true
      names[#names + 1] = key
    end
  end
end

-- Holders of the batch's keys: flat lists [bucket, position, ...] by bucket, without closed ones but the newest.
local holders = {}
slices(#names, function(first, last)
  local packed = redis.call('HMGET', k, unpack(names, first, last))
  for i = first, last do
    local list = packed[i - first + 1]
    list = list and cmsgpack.unpack(list) or {}
    while closed and #list > 2 and list[3] <= closed do
      table.remove(list, 1)
      table.remove(list, 1)
    end
    holders[names[i]] = list
  end
end)

-- 2. From here on the script writes.
redis.call('HSET', meta, 'dirty', 'apply')
if new then redis.call('HSET', meta, 'settings', ARGV[1], 'schema', ARGV[2]) end

local won, lost, late_won, added = 0, 0, 0, {}
local per_bucket = {}
local function of(bucket)
  local x = per_bucket[bucket]
  if not x then
    x = {id = string.format('%.0f', bucket), keys = {}, changed = {}, counted = 0}
    per_bucket[bucket] = x
  end
  return x
end

-- A counted entry turns out to be a duplicate: a smaller one with its key has arrived.
local function lose(bucket, position)
  local at = of(bucket)
  local entry = redis.call('HGET', entries .. at.id, position)
  if string.sub(entry, 1, 1) == 'd' then return end
  redis.call('HSET', entries .. at.id, position, 'd' .. string.sub(entry, 2))
  at.counted = at.counted - 1
  at.changed[#at.changed + 1] = position
  lost = lost + 1
  if string.sub(entry, 2, 2) == 'l' then late_won = late_won - 1 else won = won - 1 end
end

-- Index of the last holder in a bucket <= bucket, or -1.
local function last_before(list, bucket)
  local i = #list - 1
  while i > 0 and list[i] > bucket do i = i - 2 end
  return i
end

local function has_smaller(list, bucket, position)
  local i = last_before(list, bucket)
  if i > 0 and list[i] == bucket then
    if list[i + 1] < position then return true end
    i = i - 2
  end
  return i > 0 and bucket - list[i] <= horizon
end

-- Enters a message under a key: only the smallest position of each bucket matters to any other message.
local function hold(key, bucket, position)
  local list = holders[key]
  local i = last_before(list, bucket)
  if i > 0 and list[i] == bucket then
    if list[i + 1] < position then return end
    lose(bucket, list[i + 1])
    list[i + 1] = position
  else
    i = i + 2
    table.insert(list, i, bucket)
    table.insert(list, i + 1, position)
    local at = of(bucket)
    at.keys[#at.keys + 1] = key
  end
  if list[i + 2] and list[i + 2] - bucket <= horizon then lose(list[i + 2], list[i + 3]) end
end

-- A later version changes the evidence of its case, from its own bucket on; the highest of a bucket is kept.
local function follow_up(key, bucket, version, position)
  local list = redis.call('HGET', fu, key)
  list = list and cmsgpack.unpack(list) or {}
  local i = 1
  while list[i] and list[i] < bucket do i = i + 3 end
  if list[i] ~= bucket then
    table.insert(list, i, bucket)
    table.insert(list, i + 1, version)
    table.insert(list, i + 2, position)
  elseif version > list[i + 1] or (version == list[i + 1] and position < list[i + 2]) then
    list[i + 1], list[i + 2] = version, position
  end
  redis.call('HSET', fu, key, cmsgpack.pack(list))
  redis.call('SADD', held_cases .. of(bucket).id, key)
end

for _, case in ipairs(cases) do
  local bucket, position, late, keys, contribution, version = unpack(case, 1, 6)
  local at, wins = of(bucket), true
  for _, key in ipairs(keys) do
    if has_smaller(holders[key], bucket, position) then wins = false end
  end
  redis.call('HSET', entries .. at.id, position, (wins and 'c' or 'd') .. (late == 1 and 'l' or '-') .. contribution)
  for _, key in ipairs(keys) do hold(key, bucket, position) end
  if version > 1 then follow_up(keys[1], bucket, version, position) end
  at.changed[#at.changed + 1] = position
  if wins then
    at.counted = at.counted + 1
    if late == 1 then late_won = late_won + 1 else won = won + 1 end
  else
    lost = lost + 1
  end
end

local list = {}
for key, holding in pairs(holders) do
  list[#list + 1] = key
  list[#list + 1] = cmsgpack.pack(holding)
end
slices(#list, function(first, last) redis.call('HSET', k, unpack(list, first, last)) end)
for bucket, at in pairs(per_bucket) do
  redis.call('ZADD', open, at.id, at.id)
  redis.call('ZADD', held, at.id, at.id)
  if at.counted ~= 0 then redis.call('HINCRBY', counted, at.id, at.counted) end
  slices(#at.keys, function(first, last) redis.call('SADD', held_keys .. at.id, unpack(at.keys, first, last)) end)
  slices(#at.changed, function(first, last) redis.call('RPUSH', changes .. at.id, unpack(at.changed, first, last)) end)
end

for i = 1, #outcomes, 2 do redis.call('HINCRBY', count, outcomes[i], outcomes[i + 1]) end
if won ~= 0 then redis.call('HINCRBY', count, 'counted', won) end
if lost ~= 0 then redis.call('HINCRBY', count, 'duplicate', lost) end
if late_won ~= 0 then redis.call('HINCRBY', count, 'late', late_won) end
slices(#sources, function(first, last) redis.call('HSET', pos, unpack(sources, first, last)) end)
redis.call('HSET', pos, field, a1)

-- 3. Whole again.
redis.call('HDEL', meta, 'dirty')
return {1, won, lost, late_won, next_close(pos, roster, open, counted, closed_at) or false}
