-- Takes in provisional alerts of open buckets. One that is raised, or provisional in the same or a later bucket, stays.
--
-- KEYS  1 meta  2 alerts  3 aq  4 am  5 prov
-- ARGV  1 settings  2 schema  3 packed [id, bucket, record, ...]
-- Returns how many were taken.
-- Errors  DIRTY SETTINGS SCHEMA
local meta, alerts, order, marks, provisional = unpack(KEYS)
local refusal, closed, new = guard(meta, ARGV[1], ARGV[2])
if refusal then return refusal end
if new then return 0 end -- emptied since the alerts were computed
local proposed = cmsgpack.unpack(ARGV[3])
local taken = {}
for i = 1, #proposed, 3 do
  local id, bucket = proposed[i], proposed[i + 1]
  if not closed or bucket > tonumber(closed) then
    local present = redis.call('HGET', alerts, id)
    local raised, at = string.match(present or '0:-inf:', '^(%d):([^:]*):')
    if raised == '0' and (at == '-inf' or tonumber(at) < bucket) then taken[#taken + 1] = i end
  end
end
if #taken == 0 then return 0 end

redis.call('HSET', meta, 'dirty', 'propose')
local m = redis.call('HMGET', meta, 'alert_seq', 'alert_mark')
local seq, sum = tonumber(m[1] or 0), {m[2] or ''}
for _, i in ipairs(taken) do
  local id, bucket = proposed[i], string.format('%.0f', proposed[i + 1])
  seq = seq + 1
  redis.call('HSET', alerts, id, '0:' .. bucket .. ':' .. proposed[i + 2])
  redis.call('ZADD', order, seq, id)
  redis.call('ZADD', provisional, bucket, id)
  sum[#sum + 1] = id .. '@' .. bucket
end
local mark = redis.sha1hex(table.concat(sum, ' '))
redis.call('HSET', meta, 'alert_seq', string.format('%.0f', seq), 'alert_mark', mark)
redis.call('LPUSH', marks, string.format('%.0f', seq) .. ':' .. mark)
redis.call('LTRIM', marks, 0, 255)
redis.call('HDEL', meta, 'dirty')
return #taken
