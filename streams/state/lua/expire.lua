-- Drops what a closed bucket left once it has fallen out of the reference window.
--
-- KEYS  1 meta  2 w  3 cb  4 c:<bucket>  5 f:<bucket>  6.. evidence keys of its cases
-- ARGV  1 settings  2 schema  3 expected closed  4 bucket  5 1 if this is the last part, which drops the bucket itself
-- Returns 1, or 0 if another bucket than expected is the last closed one.
-- Errors  DIRTY SETTINGS SCHEMA
local refusal, closed = guard(KEYS[1], ARGV[1], ARGV[2])
if refusal then return refusal end
if closed ~= ARGV[3] then return 0 end
for i = 6, #KEYS do redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', ARGV[4]) end
if ARGV[5] == '1' then
  redis.call('HDEL', KEYS[2], ARGV[4])
  redis.call('UNLINK', KEYS[4], KEYS[5])
  redis.call('ZREM', KEYS[3], ARGV[4])
end
return 1
