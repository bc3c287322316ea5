-- Appending to the partition's log. Included by the scripts that change boards.
--
-- An entry's id is its time, which never goes back, and its number, which is one
-- more than that of the entry before: a reader sees at once when some are
-- missing.

local function log_entry(log, cap, us, n, board, rev)
  call('XADD', log, 'MAXLEN', '~', cap, string.format('%.0f-%.0f', us, n), 'b', board, 'r', string.format('%.0f', rev))
end
