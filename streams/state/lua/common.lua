-- Put before every other script, which may use these functions. Names of keys come from keys.py by KEYS and ARGV.
-- Redis runs a script to its end, but takes nothing back when it fails half-way: hence `dirty`.

-- Error reply unless the state is clean and belongs to these settings; `closed` (string or false) besides.
local function guard(meta, settings, schema)
  local m = redis.call('HMGET', meta, 'dirty', 'settings', 'schema', 'closed')
  if m[1] then return redis.error_reply('DIRTY ' .. m[1]) end
  if m[2] and m[2] ~= settings then return redis.error_reply('SETTINGS ' .. m[2]) end
  if m[3] and tonumber(m[3]) > tonumber(schema) then return redis.error_reply('SCHEMA ' .. m[3]) end
  return nil, m[4], not m[2]
end

-- Calls f(first, last) for slices of 1..n short enough for unpack, which fails near 8,000.
local function slices(n, f)
  for first = 1, n, 2000 do f(first, math.min(first + 1999, n)) end
end

-- The smallest floor of the roster's partitions; nil while one of them has told no time yet.
local function lowest_floor(pos, roster)
  local low
  for first = 1, #roster, 2000 do
    local states = redis.call('HMGET', pos, unpack(roster, first, math.min(first + 1999, #roster)))
    for _, state in ipairs(states) do
      local floor = state and tonumber(string.match(state, '[^|]*$'))
      if not floor then return nil end
      if not low or floor < low then low = floor end
    end
  end
  return low
end

-- The first bucket above `closed` that holds a counted entry, or nil. Buckets of duplicates alone are passed over.
local function first_open(open, counted, closed)
  local from, skip = closed and '(' .. closed or '-inf', 0
  while true do
    local buckets = redis.call('ZRANGEBYSCORE', open, from, '+inf', 'LIMIT', skip, 32)
    for _, bucket in ipairs(buckets) do
      if tonumber(redis.call('HGET', counted, bucket) or 0) > 0 then return tonumber(bucket) end
    end
    if #buckets < 32 then return nil end
    skip = skip + 32
  end
end

-- The bucket that can be closed now, or nil.
local function next_close(pos, roster, open, counted, closed)
  local low = lowest_floor(pos, roster)
  local bucket = low and first_open(open, counted, closed)
  if bucket and bucket < low then return bucket end
  return nil
end
