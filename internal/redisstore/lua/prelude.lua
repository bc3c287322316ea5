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

-- view describes a season: mark, rev, number of entries, revision of the settings, lock, and the settings if their
-- revision is not the one that is known.
local function view(mark, rev, ranks, sr, lock, settings, known)
  lock = lock or ''
  if sr == known then
    settings = ''
  end
  return pack('>c1I8I4I8Bc0I2c0', mark, rev, call('ZCARD', ranks), sr, #lock, lock, #settings, settings)
end

-- others tells of settings that are not those that are known: so the season is another one, and its keys are others.
local function others(sr, settings)
  return pack('>c1I8I2c0', 'T', sr, #settings, settings)
end

-- unpack_past takes the record of a past season apart: >I8 its rev, I8 revision of its settings, Bc0 letters, and the
-- settings as they were at its end.
local function unpack_past(record)
  local rev, sr, k, pos = unpack_struct('>I8I8Bc0', record)
  return rev, sr, k, string.sub(record, pos)
end
