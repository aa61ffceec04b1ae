-- KEYS: the owner's index, the record. ARGV: the record's name in the index.
if role ~= 'master' then return {WRONG_NODE} end
redis.call('ZREM', KEYS[1], ARGV[1])
return {OK, redis.call('UNLINK', KEYS[2])}
