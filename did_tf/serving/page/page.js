// The page of `did_tf serve`: an image is sent, and the numbers of its classes are drawn over it.
"use strict";

const get = (id) => document.getElementById(id);
const VOID = 255;
const MOST = 16e6; // pixels that every browser draws: of larger images each second or third is shown
let model = null;
let shown = null; // {file, step, height, width, classes}
let latest = 0; // number of the image that was chosen last

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    throw new Error(told.error || `The server answers with status ${response.status}.`);
  }
  return response;
}

const predict = (file, format) => ask(`/predict?format=${format}`, { method: "POST", body: file });

async function attempt(work) {
  const number = latest;
  get("error").hidden = true;
  try {
    await work();
  } catch (error) {
    if (number !== latest) return; // of an image that is not looked at any more
    get("error").textContent = error.message;
    get("error").hidden = false;
    get("status").textContent = "";
  }
}

async function show(file) {
  const number = latest;
  get("status").textContent = `Looking at ${file.name || "the image"} …`;
  const about = await (await ask("/model")).json(); // another one may have come since
  const seen = numbers(await (await predict(file, "npy")).arrayBuffer());
  const photo = await picture(file, seen);
  if (number !== latest) return; // another one has been chosen meanwhile
  const step = Math.ceil(Math.sqrt((seen.height * seen.width) / MOST));
  model = about;
  shown = { file, step, ...seen };
  draw(photo);
  list();
  get("view").hidden = get("panel").hidden = false;
  get("status").textContent = `${file.name || "image"}: ${seen.width} × ${seen.height} pixels`;
}

// The array in a .npy file of bytes: after ten bytes, the last two of them its length, a header says the shape.
function numbers(buffer) {
  const start = 10 + new DataView(buffer).getUint16(8, true);
  const header = new TextDecoder().decode(buffer.slice(10, start));
  const [, height, width] = header.match(/'shape': \((\d+), (\d+)\)/).map(Number);
  return { height, width, classes: new Uint8Array(buffer, start) };
}

// The browser's own picture, or the server's where the browser can't read the file or turns it otherwise.
async function picture(file, seen) {
  const own = await createImageBitmap(file).catch(() => null);
  if (own && own.width === seen.width && own.height === seen.height) return own;
  return createImageBitmap(await (await predict(file, "image")).blob());
}

function draw(photo) {
  for (const canvas of [get("photo"), get("labels")]) {
    canvas.width = Math.ceil(shown.width / shown.step);
    canvas.height = Math.ceil(shown.height / shown.step);
  }
  get("photo").getContext("2d").drawImage(photo, 0, 0, get("photo").width, get("photo").height);
}

function list() {
  const counts = new Uint32Array(VOID + 1);
  for (const number of shown.classes) counts[number]++;
  const off = new Set(boxes().filter((box) => !box.checked).map((box) => box.value));
  const rows = model.classes.map((one, number) => row(one, number, counts[number], !off.has(String(number))));
  get("classes").replaceChildren(...rows);
  paint();
}

function row(one, number, count, on) {
  const item = document.createElement("li");
  const label = item.appendChild(document.createElement("label"));
  const box = Object.assign(document.createElement("input"), { type: "checkbox", value: number, checked: on });
  box.addEventListener("change", paint);
  const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
  swatch.style.backgroundColor = `rgb(${one.color.join(",")})`;
  const name = Object.assign(document.createElement("span"), { className: "name", textContent: one.name });
  const part = (100 * count) / shown.classes.length;
  const percent = count && part < 0.1 ? "< 0.1 %" : `${part.toFixed(1)} %`;
  const share = Object.assign(document.createElement("span"), { className: "share", textContent: percent });
  item.className = count ? "" : "absent";
  label.append(box, swatch, name, share);
  return item;
}

const boxes = () => [...get("classes").querySelectorAll("input")];

// A pixel of a class that is switched on has its colour, all others are clear.
function paint() {
  const canvas = get("labels");
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(picture.data.buffer);
  const colours = table();
  for (let y = 0, at = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++, at++) {
      pixels[at] = colours[shown.classes[y * shown.step * shown.width + x * shown.step]];
    }
  }
  context.putImageData(picture, 0, 0);
}

function table() {
  const bytes = new Uint8Array(4 * (VOID + 1));
  for (const box of boxes()) {
    if (box.checked) bytes.set([...model.classes[box.value].color, 255], 4 * box.value);
  }
  return new Uint32Array(bytes.buffer);
}

function setOpacity() {
  get("labels").style.opacity = get("opacity").value / 100;
  get("percent").textContent = `${get("opacity").value} %`;
}

function switchAll(on) {
  for (const box of boxes()) box.checked = on;
  paint();
}

async function save() {
  const [kind, { file }] = [get("kind").value, shown];
  const content = kind === "shown" ? await visible() : await (await predict(file, kind)).blob();
  const ending = { tiff: "tif", json: "json" }[kind] || "png";
  const stem = (file.name || "image").replace(/\.[^.]*$/, "");
  const link = Object.assign(document.createElement("a"), { download: `${stem}_${kind}.${ending}` });
  link.href = URL.createObjectURL(content);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function visible() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [get("photo").width, get("photo").height];
  const context = canvas.getContext("2d");
  context.drawImage(get("photo"), 0, 0);
  context.globalAlpha = get("opacity").value / 100;
  context.drawImage(get("labels"), 0, 0);
  return new Promise((done) => canvas.toBlob(done));
}

function take(files) {
  if (!files || !files.length) return;
  latest++;
  attempt(() => show(files[0]));
}

function listen() {
  get("file").addEventListener("change", (event) => {
    take([...event.target.files]);
    event.target.value = ""; // so that the same file can be chosen again
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      get("drop").classList.toggle("over", kind === "dragover");
    });
  }
  document.addEventListener("drop", (event) => take(event.dataTransfer.files));
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  get("opacity").addEventListener("input", setOpacity);
  get("all").addEventListener("click", () => switchAll(true));
  get("none").addEventListener("click", () => switchAll(false));
  get("save").addEventListener("click", () => attempt(save));
}

async function begin() {
  model = await (await ask("/model")).json();
  const pixels = (model.limits.max_pixels / 1e6).toLocaleString();
  const bands = model.bands === 1 ? "one band" : `${model.bands} bands`;
  get("about").textContent =
    `PNG, JPEG or TIFF of ${bands} (${model.dtype}), up to ${model.limits.max_mb} MB and ${pixels} megapixels`;
}

listen();
attempt(begin);
