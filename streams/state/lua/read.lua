-- Reads under a condition: what a close is computed from is read piece by piece, and Redis may be emptied, set back or
-- closed further in between. Every piece is read together with the proof that it is what the log says at that point.
--
-- KEYS  1 meta  2 pos  3 open  4 n  5.. keys that are read
-- ARGV  1 settings  2 schema  3 expected closed ('' for none)  4 '' or bucket that must be the one to close
--       5 packed roster (fields of pos)  6 packed commands [name, index of its key among those read, argument, ...]
-- Returns {reply, ...}, or false if the condition does not hold.
-- Errors  DIRTY SETTINGS SCHEMA
local refusal, closed = guard(KEYS[1], ARGV[1], ARGV[2])
if refusal then return refusal end
if (closed or '') ~= ARGV[3] then return false end
if ARGV[4] ~= '' then
  local bucket = next_close(KEYS[2], cmsgpack.unpack(ARGV[5]), KEYS[3], KEYS[4], closed)
  if bucket ~= tonumber(ARGV[4]) then return false end
end
local replies = {}
for i, command in ipairs(cmsgpack.unpack(ARGV[6])) do
  replies[i] = redis.call(command[1], KEYS[4 + command[2]], unpack(command, 3))
end
return replies
