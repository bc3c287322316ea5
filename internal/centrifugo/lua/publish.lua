-- Appends a command to the stream that a Centrifugo reads. The group is made
-- with the stream and stands at its beginning, so that whoever comes to read in
-- it later has missed nothing.
--
-- A stream as long as it may be is cut where the group has been: first only what
-- is done with, and if that is nothing, also what was delivered and never
-- acknowledged. What was not delivered is never cut off: it may be the last
-- state of a board that is quiet from now on.
--
-- KEYS[1]  the stream
-- ARGV[1]  the group
-- ARGV[2]  how many entries the stream may have
-- ARGV[3]  the name of the field with the method
-- ARGV[4]  the name of the field with the payload
-- ARGV[5]  the payload of a publish
--
-- Returns the new entry's id; or, if nobody has read what is there, false, and
-- nothing has changed.

local stream, group = KEYS[1], ARGV[1]
local limit = tonumber(ARGV[2])

-- delivered returns up to which id the group has been given entries, if there
-- is such a group.
local function delivered()
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then
    return nil
  end
  for _, flat in ipairs(groups) do
    local found = {}
    for i = 1, #flat, 2 do
      found[flat[i]] = flat[i + 1]
    end
    if found.name == group then
      return found['last-delivered-id'], found.pending
    end
  end
end

-- after returns the lowest id above this one.
local function after(id)
  local ms, seq = id:match('^(%d+)-(%d+)$')
  return ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
end

local last, pending = delivered()
if not last then
  redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
  last, pending = '0-0', 0
end
if redis.call('XLEN', stream) >= limit then
  local cut = 0
  if pending > 0 then
    cut = redis.call('XTRIM', stream, 'MINID', redis.call('XPENDING', stream, group)[2])
  end
  if cut == 0 and redis.call('XTRIM', stream, 'MINID', after(last)) == 0 then
    return false
  end
end
return redis.call('XADD', stream, '*', ARGV[3], 'publish', ARGV[4], ARGV[5])
