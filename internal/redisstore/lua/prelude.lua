-- What every script of a partition begins with. A line before it defines RUN,
-- the run id of the server process that the script is meant for, and ONCE_MS.
-- Another process does not have the script, and a server that has other data
-- than that process left behind is found out by begin.
--
-- KEYS[1] is the partition's meta in every script.

local call = redis.call
local pack, unpack_struct = struct.pack, struct.unpack

-- begin returns the partition's epoch, and the number and time of the last entry
-- of its log; or nil if the server has to be looked at before anything else.
local function begin()
  local meta = call('HMGET', KEYS[1], 'run', 'epoch', 'n', 'us')
  if meta[1] ~= RUN then
    return nil
  end
  return meta[2], tonumber(meta[3]), tonumber(meta[4])
end

-- now returns the server's time in microseconds.
local function now()
  local t = call('TIME')
  return t[1] * 1000000 + t[2]
end

-- head is how answers about boards begin.
local function head(epoch, us)
  return pack('>c1I8Bc0', 'K', us, #epoch, epoch)
end

-- view describes the board whose state and ranks are given: '0' if there is
-- none, else '1', rev, number of entries, revision of the settings, lock, and the
-- settings if their revision is not the one that is known.
local function view(state, ranks, known)
  local f = call('HMGET', state, 'rev', 'sr', 'lock', 'settings')
  if not f[2] then
    return nil
  end
  local sr = tonumber(f[2])
  local lock = f[3] or ''
  local settings = sr == known and '' or f[4]
  return pack('>c1I8I4I8Bc0I2c0', '1', f[1], call('ZCARD', ranks), sr, #lock, lock, #settings, settings)
end
