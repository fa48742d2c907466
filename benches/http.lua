-- Load for benches/http. Arguments: OPERATION SIZE OBJECTS RUN BODY_FILE. RUN is what tells one slice's names from another's, for
-- STORE a number.
--   GET    reads the stored objects in random order
--   MISS   reads what is not there; an answer other than 404 is wrong
--   PUT    writes one body under a new name each time
--   STORE  a PROPFIND on the parent and the PUT, both as sccache sends them: two requests
--   MIX    a PUT after every four GETs

dofile("benches/lib/wrk.lua")

local propfind_body = '<?xml version="1.0" encoding="utf-8" ?><D:propfind xmlns:D="DAV:"><D:allprop/></D:propfind>'

local function path_of_put(number) return string.format("/put/%s/%s/%09d", size, run, number) end

-- The parents are those that benches/http made: 16 of them, three levels down.
local function parent_of(number) return string.format("/store/%x/%x/%x/", number % 4, math.floor(number / 4) % 4, 7) end

local function path_of_store(number) return parent_of(number) .. string.format("%08x%08x%048x", size, run, number) end

function init(args)
    operation, size, objects, run = args[1], args[2], tonumber(args[3]), args[4]
    sent, state = 0, 12345
    local line = " HTTP/1.1\r\nHost: " .. host() .. "\r\n"
    end_of_get = line .. "\r\n"
    if operation == "PUT" or operation == "STORE" or operation == "MIX" then
        local body = read_body(args[5])
        local rest = line .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
        put_to = operation ~= "STORE" and put_in_place(#path_of_put(0), rest)
        store_to = operation == "STORE" and put_in_place(#path_of_store(0), rest)
    end
    end_of_propfind = line .. "Content-Type: application/xml\r\nDepth: 0\r\nContent-Length: " .. #propfind_body
        .. "\r\n\r\n" .. propfind_body
    gets = {}
    for i = 0, objects - 1 do gets[i] = "GET /get/" .. size .. "/" .. i .. end_of_get end
    if operation == "GET" then least = tonumber(size) end
    if operation == "MISS" then
        wrong = 0
        response = function(status) if status ~= 404 then wrong = wrong + 1 end end
    end
end

local function stored()
    state = (state * 1103515245 + 12345) % 2147483648
    return gets[math.floor(state / 2147483648 * objects)]
end

local function put() return put_to(path_of_put(sent)) end

local requests = {
    GET = stored,
    PUT = put,
    MISS = function() return "GET /get/" .. size .. "/none-" .. sent .. end_of_get end,
    STORE = function()
        local number = math.floor((sent + 1) / 2)
        if sent % 2 == 1 then return "PROPFIND " .. parent_of(number) .. end_of_propfind end
        return store_to(path_of_store(number))
    end,
    MIX = function() return sent % 5 == 0 and put() or stored() end,
}

function request()
    sent = sent + 1
    return requests[operation]()
end
