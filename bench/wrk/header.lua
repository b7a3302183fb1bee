-- Sends requests with many values of a header, one after the other. Arguments: file of values, method, header, text before the
-- value, number of the first value
local values, n = {}, 0
local header, before

function init(args)
  for line in io.lines(args[1]) do values[#values + 1] = line end
  wrk.method = args[2]
  header, before = args[3], args[4]
  n = tonumber(args[5] or '0')
end

function request()
  n = n % #values + 1
  return wrk.format(nil, nil, { [header] = before .. values[n] })
end
