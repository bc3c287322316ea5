-- Names of requests. Included by the scripts that change entries or boards.

-- recall answers a request whose name is there: 'R' it was carried out, 'D' as another request, or 'W' and what is kept
-- of it.
local function recall(kept, digest)
  if not digest or #kept <= 16 then
    return 'R'
  end
  if string.sub(kept, 1, 16) ~= digest then
    return 'D'
  end
  return 'W' .. pack('>I4', #kept - 16) .. string.sub(kept, 17)
end

-- kept_view is what is kept of a board.
local function kept_view(id, rev, total, settings)
  return pack('>Bc0I8I4I2c0', #id, id, rev, total, #settings, settings)
end
