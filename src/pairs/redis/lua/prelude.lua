-- What every script begins with: where it runs, what time it is, and what a record says.
-- Offsets are those of record.rs, plus one.

local VERSION = 1
-- Replies that are no error.
local OK, WRONG_NODE, GONE, LOST, REPLACED, OLD, OUTSIDE, REPLAYED, EXHAUSTED, EXISTS, FULL, CHANGED = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11

-- The role and the era of this server: a promotion changes either, and neither is asked for before a script runs.
local replication = redis.call('INFO', 'replication')
local role = string.match(replication, 'role:(%a+)')
local era = string.sub(string.match(replication, 'master_replid:(%x+)'), 1, 16)

-- Milliseconds since 1970 by this server's clock, unless the caller has a clock of its own (0: it has none).
local function time(given)
  if tonumber(given) > 0 then return tonumber(given) end
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

local function u64(record, at) return struct.unpack('>I8', record, at) end
local function u32(record, at) return struct.unpack('>I4', record, at) end

-- How a record stands: OK, GONE, LOST or OLD. Limits are in milliseconds.
local function standing(record, now, idle, unused, age)
  if not record or string.byte(record, 1) ~= VERSION then return GONE end
  if string.sub(record, 35, 50) ~= era then return LOST end
  local created, used = u64(record, 51), u64(record, 59)
  if used > 0 and now - used > idle or used == 0 and now - created > unused then return GONE end
  if now - created > age then return OLD end
  return OK
end
