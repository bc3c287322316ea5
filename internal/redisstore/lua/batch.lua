-- Deciding about batches and carrying them out. Included by apply, prepare and
-- finish.
--
-- The arguments of the batches are in an array A from index o on:
--   A[o]     boards: I2 how many, then for each
--            >I8 settings' revision, b sign (zset score = sign × score), B policy (0 sum, 1 best, 2 latest; +4 if bounds
--            follow, +8 if a limit of submissions does, +16 if it is late scores that are told: of a season that has ended,
--            +32 if a number of entries follows, +64 if a time to live does),
--            B whether the latest of equals stands first, B rank style (0 ordinal, 1 competition, 2 dense), d largest score,
--            I2 how many members, Bc0 id [, ddd lowest and highest score, furthest step] [, I2 most submissions of a member in a minute]
--            [, I4 season that has ended] [, I4 most entries, B how many fall off at a time] [, I4 seconds for which entries live]
--   A[o+1]   batches: I2 how many, then for each
--            >I2 how many operations, + 2^15 if they have conditions, i8 time in milliseconds, I2 which of the keys behind the boards' is the batch's
--            name, or 0; + 2^15 if c16 the digest of the batch follows; then for each operation
--            >B kind (0 submit, 1 set, 2 remove, 4 remove if it is due, 3 with a score that the board cannot have),
--            I2 index of the member, I2 data (0 keeps, 1 removes, else index in A beyond o), d scaled score, and, if the
--            batch's operations have conditions, d the rev that the entry must be at, 0 if there must be none, or −1
--   A[o+2…]  the members, board after board; then data; then, of a part of a batch with a digest that has its name in
--            another partition, KEEP
-- The boards' keys are three each, from KEYS[k] on: state, ranks, entries; and of those with dense ranks another: levels,
-- a zset of the distinct scores that ranks has, each as a member with itself as its score; and behind these, of those with
-- a limit of submissions, two hashes of the submissions of each member in the newest even minute and in the newest odd one,
-- which stands in the field '' of each, whatever season they went to; and for late scores another: past seasons, a hash of
-- their records, see season.lua; and behind these, of those whose entries expire, ages, a zset of the members by when they
-- were updated, and the zset of such boards by when their first entry is due. Ranks, entries and levels are those of the
-- season; no board has two. Ages are those of the current one; for late scores no time to live is told.
--
-- An entry is >d score, 8 bytes of tie, >i8 time in milliseconds, >I8 rev of its last change unless the tie is of that,
-- and data: an object, so that its first byte is never that of a rev. The
-- member of the zset is the tie, then the member; the tie is the rev at which
-- the score was reached, or what is left of 2^53−1 above it where the latest
-- stands first.
--
-- A batch's name is a key that is there for ONCE_MS milliseconds after the batch was carried out. It holds '1', or the
-- digest and behind it what carry_out answered, or 'S' and the lock of a batch over several partitions: each of these
-- keeps then what became of its part for as long.

local floor, fmt = math.floor, string.format
local MAX = 9007199254740991

local A, o, boards, names
local states, ranks, entries, levels, id = {}, {}, {}, {}, {}
local status, rev, revision, known, lock, total = {}, {}, {}, {}, {}, {}
local sign, policy, latest, style, limit, from, to = {}, {}, {}, {}, {}, {}, {}
local lowest, highest, step = {}, {}, {} -- of boards with bounds
local quota, counts = {}, {} -- of boards with a limit of submissions; counts is what the number of their keys is above
local most, fewer = {}, {} -- of boards with a number of entries
local crowd = {} -- of those that a batch has to do with; see crowd_of
local op_fell = {} -- entries that fall off by an operation
local ttl, ages = {}, {} -- of boards whose entries expire; ages is the number of their first key
local last = {} -- by the members' index: when they were updated, on such boards
local sent = {} -- by the members' index: submissions of the batch to such boards
local late, past, records = {}, {}, {} -- the number of a season that has ended, the key of its record, and that as it was before
-- By the members' index:
local owner, score, tie, data = {}, {}, {}, {}
local updated = {} -- of those that have changed
local revs = {} -- rev of the last change as entries have it: 8 bytes, or '' if the tie is of that
-- By the operations' index in their batch; had, old, data and updated are what the member had before:
local op_member, op_flag, op_score, op_tie, op_had, op_old, op_data, op_updated = {}, {}, {}, {}, {}, {}, {}, {}
local op_revs, op_rev = {}, {} -- revs before, and the rev of an entry that does not change

local parts, np = {}, 0 -- of the answer

local NONE, OK, STALE, LOCKED = 0, 1, 2, 3
local KEEP = '\0' -- no member and no data

-- header reads what stands before the operations of a batch: how many they are, the time, the number of the name's
-- key, the digest or nil, where they begin, and how many bytes each of them has.
local function header(list, pos)
  local ops, ms, name, digest
  local size = 13
  ops, ms, name, pos = unpack_struct('>I2i8I2', list, pos)
  if ops >= 32768 then
    ops = ops - 32768
    size = 21
  end
  if name >= 32768 then
    name = name - 32768
    digest = string.sub(list, pos, pos + 15)
    pos = pos + 16
  end
  return ops, ms, name, digest, pos, size
end

-- rev_of returns the rev of the last change of the member with the index k.
local function rev_of(k)
  if revs[k] ~= '' then
    return (unpack_struct('>I8', revs[k]))
  end
  local r = unpack_struct('>I8', tie[k])
  return latest[owner[k]] == 1 and MAX - r or r
end

-- load reads what the batches need. mine is the lock that does not matter.
local function load(args, first, key, mine)
  A, o = args, first
  local count, pos
  boards, pos = unpack_struct('>I2', A[o])
  local at = 1 -- members lie behind A[o+at]
  for b = 1, boards do
    local name
    known[b], sign[b], policy[b], latest[b], style[b], limit[b], count, name, pos = unpack_struct('>I8bBBBdI2Bc0', A[o], pos)
    local more = policy[b]
    policy[b] = more % 4
    if more % 8 >= 4 then
      lowest[b], highest[b], step[b], pos = unpack_struct('>ddd', A[o], pos)
    end
    if more % 16 >= 8 then
      quota[b], pos = unpack_struct('>I2', A[o], pos)
    end
    if more % 32 >= 16 then
      late[b], pos = unpack_struct('>I4', A[o], pos)
    end
    if more % 64 >= 32 then
      most[b], fewer[b], pos = unpack_struct('>I4B', A[o], pos)
    end
    if more >= 64 then
      ttl[b], pos = unpack_struct('>I4', A[o], pos)
    end
    id[b] = name
    states[b], ranks[b], entries[b] = KEYS[key], KEYS[key + 1], KEYS[key + 2]
    key = key + 3
    if style[b] == 2 then
      levels[b] = KEYS[key]
      key = key + 1
    end
    if quota[b] then
      counts[b] = key
      key = key + 2
    end
    if late[b] then
      past[b] = KEYS[key]
      key = key + 1
    end
    if ttl[b] then
      ages[b] = key
      key = key + 2
    end
    from[b], to[b] = at, at + count - 1
    local f = call('HMGET', states[b], 'rev', 'sr', 'lock')
    rev[b] = tonumber(f[1] or 0)
    revision[b] = rev[b]
    lock[b] = f[3] or ''
    total[b] = 0
    if not f[2] then
      status[b] = NONE
    elseif tonumber(f[2]) ~= known[b] then
      status[b] = STALE -- before all else, as nobody knows then whether the season is to be ended
    elseif f[3] and f[3] ~= mine then
      status[b] = LOCKED
    else
      status[b] = OK
      total[b] = call('ZCARD', ranks[b])
      if late[b] then
        records[b] = call('HGET', past[b], late[b])
      end
      if count > 0 then
        local got = call('HMGET', entries[b], unpack(A, o + at + 1, o + at + count))
        for i = 1, count do
          local record = got[i]
          if record then
            local k = at + i - 1
            score[k], tie[k] = unpack_struct('>dc8', record)
            if ttl[b] then
              last[k] = unpack_struct('>i8', record, 17)
            end
            if string.byte(record, 25) == 0 then
              revs[k], data[k] = string.sub(record, 25, 32), string.sub(record, 33)
            else
              revs[k], data[k] = '', string.sub(record, 25)
            end
          end
        end
      end
    end
    for k = at, at + count - 1 do
      owner[k] = b
    end
    at = at + count
  end
  names = key - 1 -- names lie behind KEYS[names]
end

-- submits returns how many submissions a member, by its index, has made in a minute before this batch.
local function submits(k, minute)
  local f = call('HMGET', KEYS[counts[owner[k]] + minute % 2], '', A[o + 1 + k])
  return tonumber(f[1]) == minute and tonumber(f[2]) or 0
end

-- count counts the submissions of a batch that is carried out.
local function count(ms)
  local minute = floor(ms / 60000)
  for k, n in pairs(sent) do
    local key = KEYS[counts[owner[k]] + minute % 2]
    if tonumber(call('HGET', key, '')) ~= minute then
      call('DEL', key)
      call('HSET', key, '', minute)
    end
    call('HINCRBY', key, A[o + 1 + k], n)
    call('PEXPIRE', key, 120000)
  end
end

-- crowd_of returns what the batch that is being decided leaves of a board with a number of entries, beside what the
-- members' tables have: how many entries there are, the members that it has touched and the places that they had before, the
-- scores of others that fell off, and which places of the ranks nobody has any more.
local function crowd_of(b)
  local c = crowd[b]
  if not c then
    c = { n = call('ZCARD', ranks[b]), touched = {}, seen = {}, was = {}, others = {}, gone = {}, bottom = 0, worst = 0, index = {} }
    for k = from[b], to[b] do
      c.index[A[o + 1 + k]] = k
    end
    crowd[b] = c
  end
  return c
end

-- touch notes that a member, by its index, is going to be changed.
local function touch(c, k)
  if c.seen[k] then
    return
  end
  c.seen[k] = true
  c.touched[#c.touched + 1] = k
  if score[k] then
    c.was[k] = score[k]
    c.gone[tie[k] .. A[o + 1 + k]] = true
  end
end

-- behind says whether of two places with one score the first is behind the other.
local function behind(a, b)
  return unpack_struct('>I8', a) > unpack_struct('>I8', b)
end

-- lower says whether of two members, by their index, the first stands behind the other.
local function lower(b, k, other)
  local x, y = sign[b] * score[k], sign[b] * score[other]
  return x > y or x == y and behind(tie[k], tie[other])
end

-- moved notes that a member, by its index, has been changed, so that it is known who is the last of those that the
-- batch has touched: c.worst, 0 for nobody, nil if that has to be looked for.
local function moved(c, b, k)
  if c.worst == k then
    c.worst = nil
  elseif c.worst and score[k] and (c.worst == 0 or lower(b, k, c.worst)) then
    c.worst = k
  end
end

-- last_of returns the last entry of a board as the batch leaves it: the index of a member that it has touched, or a place
-- of the ranks and its score there.
local function last_of(c, b)
  local place, z
  repeat
    local row = call('ZRANGE', ranks[b], -1 - c.bottom, -1 - c.bottom, 'WITHSCORES')
    place, z = row[1], tonumber(row[2])
    if place and c.gone[place] then
      c.bottom = c.bottom + 1
    end
  until not place or not c.gone[place]
  local worst = c.worst
  if not worst then
    worst = 0
    for i = 1, #c.touched do
      local k = c.touched[i]
      if score[k] and (worst == 0 or lower(b, k, worst)) then
        worst = k
      end
    end
    c.worst = worst
  end
  if worst ~= 0 then
    local x = sign[b] * score[worst]
    if not place or x > z or x == z and behind(tie[worst], place) then
      return worst
    end
  end
  return nil, place, z
end

-- full says whether a new member with the score s would stand behind as many as the board keeps. Whoever reached the
-- same score did so before.
local function full(b, s)
  local c = crowd_of(b)
  if c.n < most[b] then
    return false
  end
  local side = sign[b]
  local z = side * s
  if latest[b] == 0 then
    z = z + 1 -- what is below it is before the new one, its equals too
  end
  if c.n == most[b] then
    local k, _, last = last_of(c, b)
    return (k and side * score[k] or last) < z
  end
  -- There are more, since the number was lowered.
  local was, touched, others = c.was, c.touched, c.others
  local n = call('ZCOUNT', ranks[b], '-inf', fmt('(%.17g', z))
  for i = 1, #touched do
    local k = touched[i]
    if was[k] and side * was[k] < z then
      n = n - 1
    end
    if score[k] and side * score[k] < z then
      n = n + 1
    end
  end
  for i = 1, #others do
    if others[i] < z then
      n = n - 1
    end
  end
  return n >= most[b]
end

-- fall decides which entries fall off after a new one, in a batch of the time ms, and returns them or nil.
local function fall(b, ms)
  local c, list = crowd_of(b), nil
  while c.n > most[b] and (not list or #list < fewer[b]) do
    local k, place, z = last_of(c, b)
    k = k or c.index[string.sub(place, 9)]
    list = list or {}
    if k then
      touch(c, k)
      list[#list + 1] = { tie[k] .. A[o + 1 + k], score[k], nil, k, data[k], updated[k], revs[k], tie[k] }
      score[k], tie[k], data[k], updated[k] = nil, nil, nil, ms
      moved(c, b, k)
    else
      c.gone[place] = true
      c.others[#c.others + 1] = z
      list[#list + 1] = { place, sign[b] * z, string.sub(place, 9) }
    end
    c.n = c.n - 1
  end
  return list
end

-- unfall takes back what fell off.
local function unfall(list)
  for i = #list, 1, -1 do
    local e = list[i]
    local k = e[4]
    if k then
      score[k], data[k], updated[k], revs[k], tie[k] = e[2], e[5], e[6], e[7], e[8]
    end
  end
end

-- decide works out a batch of n operations whose time is ms, from pos of the
-- batches on, where each operation has so many bytes. It returns whether the batch can be carried out; if not, what it
-- would have changed is as before, and the answer has why.
local function decide(n, ms, name, digest, pos, size)
  local kept = name > 0 and call('GET', KEYS[names + name])
  if kept then
    np = np + 1
    parts[np] = recall(kept, digest)
    return false
  end
  local ops = A[o + 1]
  local kind, k, d, s
  local asked = -1
  sent, crowd = {}, {}
  for i = 1, n do
    op_fell[i] = nil
    kind, k, d, s, pos = unpack_struct('>BI2I2d', ops, pos)
    if size == 21 then
      asked, pos = unpack_struct('>d', ops, pos)
    end
    local b = owner[k]
    local had = score[k]
    local why, at
    local st = status[b]
    if asked >= 0 and st == OK then
      at = had and rev_of(k) or 0
    end
    if st ~= OK then
      why = st == NONE and 'N' or st == STALE and 'T' or 'L'
    elseif at and at ~= asked then
      why = 'C'
    elseif kind == 4 then
      op_flag[i], op_tie[i] = had and ttl[b] and (updated[k] or last[k]) + ttl[b] * 1000 <= ms and 3 or 0, nil
    elseif kind == 2 then
      if had then
        op_flag[i], op_tie[i] = 3, nil
      else
        why = 'M'
      end
    elseif kind == 3 then
      why = 'X'
    else
      local flag = 1
      if had and kind == 0 then
        local p = policy[b]
        if p == 0 then
          s = s + had
          if s > limit[b] or s < -limit[b] then
            why = 'X'
          end
        elseif p == 1 and sign[b] * s >= sign[b] * had then
          flag = 0
        end
      end
      if lowest[b] and flag == 1 then
        local first = not had and policy[b] ~= 0
        if s < lowest[b] or s > highest[b] or kind == 0 and not first and math.abs(s - (had or 0)) > step[b] then
          why = 'X'
        end
      end
      if quota[b] and kind == 0 and not why then
        sent[k] = (sent[k] or 0) + 1
        if sent[k] + submits(k, floor(ms / 60000)) > quota[b] then
          why = 'Q'
        end
      end
      if flag == 1 and s == had then
        flag = 2
      end
      if most[b] and not had and not why and full(b, s) then
        flag = 0
      end
      op_flag[i] = flag
    end
    if why then
      parts[np + 1] = pack('>c1I2Bd', why, i - 1, had and 1 or 0, why == 'C' and at or had or 0)
      np = np + 1
      for j = i - 1, 1, -1 do
        if op_fell[j] then
          unfall(op_fell[j])
        end
        if op_flag[j] ~= 0 then
          local m = op_member[j]
          score[m], tie[m], data[m], updated[m] = op_had[j], op_old[j], op_data[j], op_updated[j]
          revs[m] = op_revs[j]
          rev[owner[m]] = rev[owner[m]] - 1
        end
      end
      return false
    end
    local flag = op_flag[i]
    op_member[i], op_had[i], op_old[i] = k, had, tie[k]
    if flag ~= 0 then
      if most[b] then
        touch(crowd_of(b), k)
      end
      if n > 1 then
        op_data[i], op_updated[i], op_revs[i] = data[k], updated[k], revs[k]
      end
      rev[b] = rev[b] + 1
      updated[k] = ms
      revs[k] = flag == 2 and pack('>I8', rev[b]) or ''
      if flag == 3 then
        score[k], tie[k], data[k] = nil, nil, nil
      else
        if flag == 1 then
          score[k] = s
          tie[k] = pack('>I8', latest[b] == 1 and MAX - rev[b] or rev[b])
          op_score[i], op_tie[i] = s, tie[k]
        end
        if d > 0 then
          data[k] = d == 1 and '' or A[o + d]
        elseif not had then
          data[k] = ''
        end
      end
      if most[b] then
        local c = crowd[b]
        moved(c, b, k)
        if flag == 3 then
          c.n = c.n - 1
        elseif not had then
          c.n = c.n + 1
          op_fell[i] = fall(b, ms)
        end
      end
    elseif had then
      op_rev[i] = rev_of(k)
    end
  end
  return true
end

local function rank(b, s, member)
  if style[b] == 0 then
    return call('ZRANK', ranks[b], member)
  end
  return call('ZCOUNT', levels[b] or ranks[b], '-inf', fmt('(%.17g', sign[b] * s))
end

-- leave takes a score out of the levels of a board if nobody has it any more.
local function leave(b, s)
  local z = fmt('%d', sign[b] * s)
  if call('ZCOUNT', ranks[b], z, z) == 0 then
    call('ZREM', levels[b], z)
  end
end

-- outcome puts together what is kept of a batch of n operations that was carried out: whatever of it an answer
-- has, also when the boards are others. first is where its operations are in parts.
local function outcome(n, first, epoch)
  local seen, all, count = {}, {}, 0
  for i = 1, n do
    local b = owner[op_member[i]]
    if not seen[b] then
      seen[b] = true
      count = count + 1
      local seen, settings = rev[b], nil
      if late[b] then
        local own, _, _, text = unpack_past(records[b])
        seen, settings = rev[b] == revision[b] and own or rev[b], text
      else
        settings = call('HGET', states[b], 'settings')
      end
      all[count] = kept_view(id[b], seen, call('ZCARD', ranks[b]), settings)
    end
  end
  return pack('>c1Bc0I2', 'V', #epoch, epoch, count) .. table.concat(all) .. pack('>I2', n) ..
    table.concat(parts, '', first, first + n - 1)
end

-- carry_out moves the members of the batch of n operations that was decided and whose time is ms,
-- one operation after the other, and answers with the ranks of each before and
-- after it. A batch with a digest, or of which keep says so, is answered with what is kept of it. lock is that of a batch
-- over several partitions.
local function carry_out(n, ms, name, digest, epoch, lock, keep)
  if name > 0 then
    -- Before anything else: without memory the first write is refused if it needs some.
    call('SET', KEYS[names + name], digest and lock and digest .. 'S' .. lock or '1', 'PX', ONCE_MS)
  end
  parts[np + 1] = 'O'
  np = np + 1
  for i = 1, n do
    local k, flag, had = op_member[i], op_flag[i], op_had[i]
    local b = owner[k]
    local member, z = A[o + 1 + k], ranks[b]
    local before, after = 0, 0
    local old
    if had then
      old = op_old[i] .. member
      before = rank(b, had, old)
      after = before
    end
    if flag == 1 then
      -- ZADD before ZREM: without memory the first write is refused if it needs some, and then nothing is done.
      local new = op_tie[i] .. member
      local zscore = fmt('%d', sign[b] * op_score[i])
      call('ZADD', z, zscore, new)
      if levels[b] then
        call('ZADD', levels[b], zscore, zscore)
      end
      if had then
        call('ZREM', z, old)
        if levels[b] then
          leave(b, had)
        end
      end
      after = rank(b, op_score[i], new)
    elseif flag == 3 then
      call('ZREM', z, old)
      if levels[b] then
        leave(b, had)
      end
    end
    local fell = op_fell[i]
    if flag == 0 and had then
      parts[np + i] = pack('>BdI4I4d', 12, had, before, after, op_rev[i])
    elseif fell then
      for j = 1, #fell do
        call('ZREM', z, fell[j][1])
        if levels[b] then
          leave(b, fell[j][2])
        end
        if fell[j][3] then
          call('HDEL', entries[b], fell[j][3])
          if ttl[b] then
            call('ZREM', KEYS[ages[b]], fell[j][3])
          end
        end
      end
      parts[np + i] = pack('>BdI4I4B', 16 + flag, 0, before, after, #fell)
    else
      parts[np + i] = pack('>BdI4I4', had and flag + 4 or flag, had or 0, before, after)
    end
  end
  count(ms)
  if digest or keep then
    for i = 1, n do
      local flag = op_flag[i]
      parts[np + i] = parts[np + i] .. pack('>d', flag == 1 and op_score[i] or flag ~= 3 and op_had[i] or 0)
    end
    local text = outcome(n, np + 1, epoch)
    for i = 1, n do
      parts[np + i] = ''
    end
    parts[np] = text
    if digest and not lock then
      call('SET', KEYS[names + name], digest .. text, 'PX', ONCE_MS)
    end
  end
  np = np + n
end

-- age moves the members of a board whose entries expire among those by age, and says when the first is due.
local function age(b)
  local key = KEYS[ages[b]]
  for k = from[b], to[b] do
    if updated[k] and score[k] then
      call('ZADD', key, fmt('%.0f', updated[k]), A[o + 1 + k])
    elseif updated[k] then
      call('ZREM', key, A[o + 1 + k])
    end
  end
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[1] then
    call('ZADD', KEYS[ages[b] + 1], fmt('%.0f', first[2] + ttl[b] * 1000), id[b])
  else
    call('ZREM', KEYS[ages[b] + 1], id[b])
  end
end

-- write writes the entries and revs of what was carried out, and appends to the
-- log behind the entry with the number n and the time last. It returns the time
-- and the number of the last entry then.
local function write(log, cap, us, n, last)
  us = math.max(us, last)
  local changed = n
  for b = 1, boards do
    if rev[b] ~= revision[b] then
      local set, removed, s, r = {}, {}, 0, 0
      for k = from[b], to[b] do
        if updated[k] then
          if score[k] then
            set[s + 1] = A[o + 1 + k]
            set[s + 2] = pack('>dc0i8c0', score[k], tie[k], updated[k], revs[k] .. data[k])
            s = s + 2
          else
            r = r + 1
            removed[r] = A[o + 1 + k]
          end
        end
      end
      if s > 0 then
        call('HSET', entries[b], unpack(set))
      end
      if r > 0 then
        call('HDEL', entries[b], unpack(removed))
      end
      if ttl[b] then
        age(b)
      end
      call('HSET', states[b], 'rev', rev[b])
      if late[b] then
        call('HSET', past[b], late[b], pack('>I8', rev[b]) .. string.sub(records[b], 9))
      end
      n = n + 1
      log_entry(log, cap, us, n, id[b], rev[b])
    end
  end
  if n == changed then
    return last, n
  end
  call('HSET', KEYS[1], 'n', n, 'us', us)
  return us, n
end

-- describe tells of the boards as they were before the batches: status, rev,
-- number of entries, revision of the settings, and the settings or the lock if
-- they are what is in the way, or >I8 rev of a season that has ended.
local function describe()
  local all = {}
  for b = 1, boards do
    local st = status[b]
    local more, sr = '', known[b]
    if st == STALE then
      local f = call('HMGET', states[b], 'sr', 'settings')
      sr, more = f[1], f[2]
    elseif st == LOCKED then
      more = lock[b]
    elseif late[b] and st == OK then
      more = string.sub(records[b], 1, 8)
    end
    all[b] = pack('>BI8I4I8I2c0', st, revision[b], total[b], sr, #more, more)
  end
  return table.concat(all)
end
