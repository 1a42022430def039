// The page of `shamsul serve`: a radiograph goes in, and maps are shown as they are made.

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const drop = byId("drop");
const frame = /** @type {HTMLIFrameElement} */ (byId("case"));
const progress = /** @type {HTMLProgressElement} */ (byId("progress"));
const input = /** @type {HTMLInputElement} */ (byId("file"));
let asked = 0;

/**
 * Say how far the work is, or what is wrong.
 * @param {string} text
 * @param {boolean} bad
 */
function say(text, bad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", bad);
}

/**
 * Yield the lines of an answer as they come.
 * @param {Response} answer
 */
async function* linesOf(answer) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += decoder.decode(value, { stream: !done });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line);
    if (done) return;
  }
}

/**
 * Show a page in the frame, and wait until it is there.
 * @param {string} html
 */
async function openPage(html) {
  frame.hidden = false;
  await new Promise((resolve) => {
    frame.addEventListener("load", resolve, { once: true });
    frame.srcdoc = html;
  });
}

/**
 * Send a radiograph and show what comes back.
 * @param {File} file
 */
async function explain(file) {
  const mine = ++asked;
  say(`Reading ${file.name}`);
  [progress.hidden, progress.value, byId("save").hidden] = [false, 0, true];
  const headers = { "Content-Type": "application/octet-stream", "X-File-Name": encodeURIComponent(file.name) };
  const answer = await fetch("/explain", { method: "POST", body: file, headers });
  let of = 1;
  let last = "";
  for await (const line of linesOf(answer)) {
    if (mine !== asked) return;
    if (line.error) {
      progress.hidden = true;
      say(line.error, true);
      return;
    }
    of = line.methods ?? of;
    if (line.page) await openPage(line.page);
    // The frame has no origin of its own to name; it gets maps of the file that was dropped here.
    if (line.maps) {
      const sent = { shamsul: "method", method: line.method, maps: line.maps };
      frame.contentWindow?.postMessage(sent, "*");
    }
    if (line.done !== undefined) {
      progress.value = line.done / of;
      say(`${line.done} of ${of} methods: ${line.title ?? ""}`);
    }
    last = line.page_at_end ?? last;
  }
  progress.hidden = true;
  say(`Done: ${file.name}`);
  const save = /** @type {HTMLAnchorElement} */ (byId("save"));
  save.href = URL.createObjectURL(new Blob([last], { type: "text/html" }));
  save.download = `${file.name.replace(/\.[^.]*$/, "")}.html`;
  save.hidden = false;
}

/** @param {File | undefined | null} file */
function begin(file) {
  if (file) explain(file).catch((error) => say(`The server does not answer: ${error.message}`, true));
}

input.addEventListener("change", () => begin(input.files?.[0]));
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) {
  drop.addEventListener(name, () => drop.classList.remove("over"));
}
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  begin(event.dataTransfer?.files[0]);
});

export {};
