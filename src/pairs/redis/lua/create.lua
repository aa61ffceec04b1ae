-- KEYS: the owner's index, the records to make, and those of the index as the caller read it.
-- ARGV: 1 the caller's time, 2 idle, 3 unused, 4 age limit, 5 pairs of a client, 6 how many to make, 7 whether they are
-- authenticated; then the records to make, then their names in the index, then those of the index.
if role ~= 'master' then return {WRONG_NODE} end
local now, idle, unused, age = time(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local most, making, authenticated = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'
local members = redis.call('ZRANGE', KEYS[1], 0, -1)
if #members ~= #KEYS - 1 - making then return {CHANGED} end
for index, member in ipairs(members) do
  if member ~= ARGV[7 + 2 * making + index] then return {CHANGED} end
end

local function read(key) return redis.call('GET', key) end
for index = 1, making do
  if standing(read(KEYS[1 + index]), now, idle, unused, age) == OK then return {EXISTS, index - 1} end
end

-- Which are dead, and which may make room: never used ones first, then those not used for longest. Pairs that are used or
-- authenticated make no room for unauthenticated ones: everyone who sees a client's id can ask for such pairs.
local living, dead, victims = 0, {}, {}
for index, member in ipairs(members) do
  local key = KEYS[1 + making + index]
  local record = read(key)
  if standing(record, now, idle, unused, age) == OK then
    living = living + 1
    local used = u64(record, 59)
    if authenticated or used == 0 and string.byte(record, 2) % 2 == 0 then
      table.insert(victims, {key = key, member = member, used = used, since = math.max(used, u64(record, 51))})
    end
  else
    table.insert(dead, {key = key, member = member})
  end
end
local beyond = math.max(0, math.min(living + making - most, living))
if beyond > #victims then return {FULL} end
table.sort(victims, function(one, other)
  if (one.used == 0) ~= (other.used == 0) then return one.used == 0 end
  if one.since ~= other.since then return one.since < other.since end
  return one.member < other.member
end)

local function drop(pair)
  redis.call('UNLINK', pair.key)
  redis.call('ZREM', KEYS[1], pair.member)
end
for _, pair in ipairs(dead) do drop(pair) end
for index = 1, beyond do drop(victims[index]) end
for index = 1, making do
  local record = ARGV[7 + index]
  record = string.sub(record, 1, 34) .. era .. struct.pack('>I8', now) .. string.sub(record, 59)
  redis.call('SET', KEYS[1 + index], record, 'PX', unused)
  redis.call('ZADD', KEYS[1], now, ARGV[7 + making + index])
end
-- A pair that is used outlives its age by its idle time at most.
redis.call('PEXPIRE', KEYS[1], age + idle)
return {OK, beyond, #dead}
