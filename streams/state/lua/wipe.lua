-- One part of wiping a monitor: only a state marked dirty, which every other script refuses to touch, is taken apart.
-- So a worker that wipes late finds the state whole again and leaves what was rebuilt alone.
--
-- KEYS  1 meta  2.. keys to remove (not meta)
-- ARGV  1 'mark', 'remove' or 'finish'
-- Returns 1, or 0 if the state is not dirty (any more).
if ARGV[1] == 'mark' then
  redis.call('HSET', KEYS[1], 'dirty', 'wipe')
  return 1
end
if redis.call('HEXISTS', KEYS[1], 'dirty') == 0 then return 0 end
slices(#KEYS - 1, function(first, last) redis.call('UNLINK', unpack(KEYS, first + 1, last + 1)) end)
if ARGV[1] == 'finish' then redis.call('DEL', KEYS[1]) end
return 1
