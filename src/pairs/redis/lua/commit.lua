-- KEYS: the record. ARGV:
--  1 the caller's time   2 idle   3 unused   4 age limit
--  5 generation   6 first number   7 how many   8 response numbers to reserve
--  9 id of the sealing key of what the caller brings
-- 10 the epochs that the caller has secrets of: c2s oldest, c2s newest, s2c
-- 11 new c2s secrets: two epochs, two sealed secrets; or empty
-- 12 the new s2c secret: its epoch, sealed; or empty
if role ~= 'master' then return {WRONG_NODE} end
local now, idle = time(ARGV[1]), tonumber(ARGV[2])
local record = redis.call('GET', KEYS[1])
local state = standing(record, now, idle, tonumber(ARGV[3]), tonumber(ARGV[4]))
if state == LOST then redis.call('UNLINK', KEYS[1]) end
if state == GONE or state == LOST then return {state} end
if string.sub(record, 19, 34) ~= ARGV[5] then return {REPLACED} end
if state ~= OK then return {state} end

-- Every number against the window as it is, before any is taken. Only bytes that change are touched: `bits` has those, by their
-- place in the window.
local first, count = tonumber(ARGV[6]), tonumber(ARGV[7])
local window_end = u64(record, 67)
local bits = {}
local floor, byte_at = math.floor, string.byte
local function place(number)
  local bit = number % 512
  return floor(bit / 64) * 8 + 7 - floor(bit % 64 / 8), 2 ^ (bit % 8)
end
local function taken(byte, value)
  local bits_of = bits[byte] or byte_at(record, 75 + byte)
  return floor(bits_of / value) % 2 == 1, bits_of
end
for number = first, first + count - 1 do
  if number >= 4294967296 or number < window_end - 512 or number >= window_end + 4096 then return {OUTSIDE} end
  if number < window_end and taken(place(number)) then return {REPLAYED} end
end

local response = u64(record, 139)
local next_response = response + tonumber(ARGV[8])
if next_response > 4294967296 then return {EXHAUSTED} end

local window = string.sub(record, 75, 138)
for number = first, first + count - 1 do
  if number - window_end >= 512 then
    bits = {}
    for byte = 0, 63 do bits[byte] = 0 end
  else
    -- The numbers that are skipped have the bits of numbers 512 below.
    for skipped = window_end, number - 1 do
      local byte, value = place(skipped)
      local is_taken, bits_of = taken(byte, value)
      if is_taken then bits[byte] = bits_of - value end
    end
  end
  local byte, value = place(number)
  local is_taken, bits_of = taken(byte, value)
  if not is_taken then bits[byte] = bits_of + value end
  window_end = math.max(window_end, number + 1)
end
for byte, bits_of in pairs(bits) do
  window = string.sub(window, 1, byte) .. string.char(bits_of) .. string.sub(window, byte + 2)
end

-- Secrets count if they are newer than what is stored, and no newer than the numbers imply. One record is sealed with one
-- key: another key's secrets count only if they are all there.
local key_id, c2s, s2c = string.sub(record, 7, 10), string.sub(record, 147, 154), string.sub(record, 155, 158)
local sealed_c2s, sealed_s2c = string.sub(record, 159, 254), string.sub(record, 255, 302)
local key_before, s2c_before, sealed_before = key_id, s2c, sealed_s2c
-- Big-endian: the order of texts is that of numbers.
local function allowed(epoch, stored, limit) return epoch >= stored and u32(epoch, 1) <= limit end
local function epoch_of(number) return floor(math.max(number, 0) / 32) end
local new_c2s, new_s2c = ARGV[11], ARGV[12]
local c2s_allowed = new_c2s ~= '' and allowed(string.sub(new_c2s, 1, 4), string.sub(c2s, 1, 4), epoch_of(window_end - 512))
  and allowed(string.sub(new_c2s, 5, 8), string.sub(c2s, 5, 8), epoch_of(window_end - 1))
local s2c_allowed = new_s2c ~= '' and allowed(string.sub(new_s2c, 1, 4), s2c, epoch_of(next_response))
if ARGV[9] ~= key_id and not (c2s_allowed and s2c_allowed) then c2s_allowed, s2c_allowed = false, false end
if c2s_allowed then c2s, sealed_c2s = string.sub(new_c2s, 1, 8), string.sub(new_c2s, 9) end
if s2c_allowed then s2c, sealed_s2c = string.sub(new_s2c, 1, 4), string.sub(new_s2c, 5) end
if c2s_allowed or s2c_allowed then key_id = ARGV[9] end

local head = string.sub(record, 1, 6) .. key_id .. string.sub(record, 11, 58) .. struct.pack('>I8I8', now, window_end)
  .. window .. struct.pack('>I8', next_response) .. c2s .. s2c
redis.call('SET', KEYS[1], head .. sealed_c2s .. sealed_s2c, 'PX', idle)

-- What the caller lacks: of the state after, and of the response's own epoch.
local known = ARGV[10]
local oldest = not c2s_allowed and string.sub(c2s, 1, 4) ~= string.sub(known, 1, 4) and string.sub(sealed_c2s, 1, 48) or ''
local newest = not c2s_allowed and string.sub(c2s, 5, 8) ~= string.sub(known, 5, 8) and string.sub(sealed_c2s, 49) or ''
local encoder = s2c_before ~= string.sub(known, 9, 12) and sealed_before or ''
return {OK, now, response, head, oldest, newest, key_before, s2c_before, encoder}
