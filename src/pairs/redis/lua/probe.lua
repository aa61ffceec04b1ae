-- Tries all that the other scripts do. KEYS: an index and a record that no pair has; nothing is left of them.
if role ~= 'master' then return {WRONG_NODE} end
time('0')
redis.call('SET', KEYS[2], '', 'PX', 1000)
redis.call('GET', KEYS[2])
redis.call('UNLINK', KEYS[2])
redis.call('ZADD', KEYS[1], 0, 'probe')
redis.call('ZRANGE', KEYS[1], 0, -1)
redis.call('PEXPIRE', KEYS[1], 1000)
redis.call('ZREM', KEYS[1], 'probe')
return {OK}
