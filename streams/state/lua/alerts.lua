-- Which alerts changed since a publisher last asked.
--
-- A cursor is `<alert_seq>:<alert_mark>`. The mark sums up the history of changes, so a Redis that was set back and has
-- gone another way since does not know the cursor, and the publisher starts over.
--
-- KEYS  1 meta  2 pos  3 open  4 n  5 alerts  6 aq  7 am
-- ARGV  1 settings  2 schema  3 packed roster (fields of pos)  4 cursor ('' for the first time)
-- Returns {1 if all alerts follow else 0, cursor, settled or false, {id, revision '<raised>:<bucket>', ...}}.
--         Every bucket <= settled is closed or will never be: nothing provisional is left in it.
-- Errors  DIRTY SETTINGS SCHEMA
local meta, pos, open, counted, alerts, order, marks = unpack(KEYS)
local refusal, closed = guard(meta, ARGV[1], ARGV[2])
if refusal then return refusal end
local m = redis.call('HMGET', meta, 'alert_seq', 'alert_mark')
local now = (m[1] or '0') .. ':' .. (m[2] or '')
local over = now ~= ARGV[4] and not redis.call('LPOS', marks, ARGV[4])

local settled = closed and tonumber(closed) or false
local low = lowest_floor(pos, cmsgpack.unpack(ARGV[3]))
if low then
  settled = low - 1
  local first = first_open(open, counted, closed)
  if first and first <= settled then settled = first - 1 end
end

local from = over and '-inf' or '(' .. string.match(ARGV[4], '^%d+')
local ids, changed = redis.call('ZRANGEBYSCORE', order, from, '+inf'), {}
slices(#ids, function(first, last)
  for i, value in ipairs(redis.call('HMGET', alerts, unpack(ids, first, last))) do
    changed[#changed + 1] = ids[first + i - 1]
    changed[#changed + 1] = string.match(value, '^%d:[^:]*')
  end
end)
return {over and 1 or 0, now, settled, changed}
