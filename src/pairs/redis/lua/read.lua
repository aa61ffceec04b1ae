-- KEYS: the record. ARGV: the caller's time, idle, unused and age limit.
if role ~= 'master' then return {WRONG_NODE} end
local now = time(ARGV[1])
local record = redis.call('GET', KEYS[1])
local state = standing(record, now, tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
if state == LOST then redis.call('UNLINK', KEYS[1]) end
if state ~= OK then return {state} end
return {OK, now, record}
