-- Which season is read. Included by the scripts that read one.
--
-- KEYS: 1 meta, 2 state, 3 ranks, 4 entries, 5 levels, 6 past seasons
-- ARGV: 1 revision of the settings that is known, 2 number of the season that the keys are of, or, with a minus, of
--       the one that is taken for the current one, which is the one that is asked for
--
-- A state's field season is the number of the current one; there is none while that is the first. Its field k is
-- letters about the settings: d or a, the order; e or l, who of equals stands first; o, c or d, the rank style; and
-- then z, if the board shows a ZSET, which is read elsewhere.
--

-- open returns head and the view, with the mark '1' of the current season or 'P' of a past one, and the letters; or nil and
-- what is to be answered: 'G', 'N' no board, 'S' no season, or 'T' and the settings, if the current season is another one.
local function open()
  local epoch = begin()
  if not epoch then
    return nil, 'G'
  end
  local f = call('HMGET', KEYS[2], 'rev', 'sr', 'lock', 'settings', 'k', 'season')
  if not f[2] then
    return nil, 'N'
  end
  local known, wanted, current = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(f[6] or 1)
  if wanted == current or wanted == -current then
    return head(epoch, now()) .. view('1', f[1], KEYS[3], tonumber(f[2]), f[3], f[4], known), f[5]
  elseif wanted < 0 then
    return nil, others(tonumber(f[2]), f[4])
  end
  local record = call('HGET', KEYS[6], ARGV[2])
  if not record then
    return nil, 'S'
  end
  local rev, sr, k, settings = unpack_past(record)
  return head(epoch, now()) .. view('P', rev, KEYS[3], sr, f[3], settings, known), k
end
