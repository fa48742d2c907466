// How to connect a client: the lines of `larder env`, for the address under which this page was reached.

import { byId, fill, make, setText } from "./dom.js";

/** As a POSIX shell takes it. */
const quoted = (value) => `'${value.replaceAll("'", "'\\''")}'`;
const exports = (variables) => variables.map(([name, value]) => `export ${name}=${quoted(value)}\n`).join("");

const CLIENTS = {
  webdav: {
    lines: (url, space) =>
      exports([["SCCACHE_WEBDAV_ENDPOINT", endpoint(url, space)], ["RUSTC_WRAPPER", "sccache"], ["CARGO_INCREMENTAL", "0"]]),
    hint: "With a token: export SCCACHE_WEBDAV_TOKEN as well. A running sccache keeps its old settings until sccache --stop-server.",
  },
  s3: {
    lines: (url, space) =>
      exports([
        ["SCCACHE_BUCKET", space || "default"],
        ["SCCACHE_ENDPOINT", url],
        ["SCCACHE_REGION", "auto"],
        ["SCCACHE_S3_USE_SSL", String(url.startsWith("https://"))],
        ["RUSTC_WRAPPER", "sccache"],
        ["CARGO_INCREMENTAL", "0"],
      ]),
    hint: "With a token: AWS_ACCESS_KEY_ID is its name, AWS_SECRET_ACCESS_KEY its secret. Without: SCCACHE_S3_NO_CREDENTIALS=true.",
  },
  ccache: {
    lines: (url, space) => {
      const storage = `${endpoint(url, space)}/ccache`;
      return exports([["CCACHE_REMOTE_STORAGE", storage], ["CCACHE_SECONDARY_STORAGE", storage]]);
    },
    hint: "The second name is for versions before 4.7.",
  },
  bazel: {
    lines: (url, space) => `build --remote_cache=${endpoint(url, space)}/bazel\n`,
    hint: "A line for .bazelrc.",
  },
  curl: {
    lines: (url, space) => `curl -fsS -T artifact.tar.gz ${quoted(`${endpoint(url, space)}/my/key`)}\ncurl -fsS -o artifact.tar.gz ${quoted(`${endpoint(url, space)}/my/key`)}\n`,
    hint: "With a token: -H \"Authorization: Bearer $TOKEN\".",
  },
};

const endpoint = (url, space) => (space ? `${url}/${space}` : url);

function show() {
  const client = CLIENTS[document.querySelector("input[name=client]:checked").value];
  setText("lines", client.lines(location.origin, byId("namespace").value));
  setText("connect-hint", client.hint);
}

/** Copies by the clipboard, or where a browser has none for plain HTTP, by the selection. */
async function copy() {
  const lines = byId("lines");
  let done = false;
  try {
    await navigator.clipboard.writeText(lines.textContent);
    done = true;
  } catch {
    getSelection().selectAllChildren(lines);
    done = document.execCommand("copy");
  }
  setText("copy", done ? "Copied" : "Selected");
  setText("copied", done ? "The lines are copied." : "The lines are selected: copy them with your keyboard.");
  setTimeout(() => setText("copy", "Copy"), 2000);
}

/** Offers the namespaces that a client can be pointed at: a pattern is none. */
export function showConnect(namespaces) {
  const names = namespaces.map((space) => space.name).filter((name) => /^[A-Za-z0-9._-]+$/.test(name) && name !== "default");
  const select = byId("namespace");
  const chosen = select.value;
  fill(select, names, () => [make("option", { value: "" }, "default"), ...names.map((name) => make("option", { value: name }, name))]);
  select.value = ["", ...names].includes(chosen) ? chosen : "";
  show();
}

byId("client").addEventListener("change", show);
byId("namespace").addEventListener("change", show);
byId("copy").addEventListener("click", copy);
show();
