-- Sends POST with many lines as the body, one after the other. Arguments: file, Basic credentials or -, content type, text
-- before the line, text after the line
local lines, n = {}, 0
local before, after

function init(args)
  for line in io.lines(args[1]) do lines[#lines + 1] = line end
  wrk.method = 'POST'
  if args[2] ~= '-' then wrk.headers['Authorization'] = 'Basic ' .. args[2] end
  wrk.headers['Content-Type'] = args[3]
  before, after = args[4] or '', args[5] or ''
end

function request()
  n = n % #lines + 1
  return wrk.format(nil, nil, nil, before .. lines[n] .. after)
end
