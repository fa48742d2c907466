-- Load for benches/busy. Arguments: METHOD RUN COPIES BODIES_DIRECTORY SIZES; a body is a file named by its size.
-- PUT writes each size in turn under a new name, GET reads the COPIES of each size that are there.

dofile("benches/lib/wrk.lua")

local function path_of_put(number) return string.format("/put/%s/%09d", run, number) end

function init(args)
    method, run = args[1], args[2]
    local copies, bodies = tonumber(args[3]), args[4]
    local line = " HTTP/1.1\r\nHost: " .. host() .. "\r\n"
    parts, sent = {}, 0
    local smallest = math.huge
    for size in args[5]:gmatch("%d+") do
        if method == "PUT" then
            local rest = line .. "Content-Length: " .. size .. "\r\n\r\n" .. read_body(bodies .. "/" .. size)
            parts[#parts + 1] = put_in_place(#path_of_put(0), rest)
        else
            parts[#parts + 1] = size
            smallest = math.min(smallest, tonumber(size))
        end
    end
    if method == "GET" then
        least = smallest
        objects = #parts * copies
        for i = 0, objects - 1 do parts[i] = "GET /get/" .. i .. line .. "\r\n" end
    end
end

function request()
    sent = sent + 1
    -- Steps of 7 go through all of them, for 7 is no factor of how many there are; large ones do not come in a row.
    if method == "PUT" then return parts[sent * 7 % #parts + 1](path_of_put(sent)) end
    return parts[sent * 7 % objects]
end
