-- Load of prepared requests, for benches/s3 and benches/features. Arguments: METHOD REQUESTS_FILE BODY_FILE; a line of REQUESTS_FILE is a path, and headers
-- behind it, with tabs between.

dofile("benches/lib/wrk.lua")

function init(args)
    local method, body = args[1], read_body(args[3])
    local tail = "\r\n"
    if method == "PUT" then tail = "Content-Length: " .. #body .. "\r\n\r\n" .. body else least = #body end
    requests, sent = {}, 0
    for line in io.lines(args[2]) do
        local path, headers = line:match("^([^\t]+)(.*)$")
        headers = headers:gsub("\t([^\t]+)", "%1\r\n")
        requests[#requests + 1] = method .. " " .. path .. " HTTP/1.1\r\nHost: " .. host() .. "\r\n" .. headers .. tail
    end
end

function request()
    sent = sent + 1
    return requests[sent % #requests + 1]
end
