// The viewer of the maps in the report. It starts when it is asked for, shows one map at a time,
// and sets texts of the data as text only. Maps are packed by bids_fx/reports/viewer_maps.py.
"use strict";
(() => {
  const find = (name) => document.getElementById(`viewer-${name}`);
  const fields = ["group", "contrast", "result", "statistic"];
  let canvas = null;
  let catalogue = null;
  let nv = null;
  let map = null; // the record of the map that is shown
  let values = null; // its whole numbers, 0 outside
  let inside = null; // 1 where it has values
  let asked = 0; // counts choices: only the last one is shown,
  let last = Promise.resolve(); // and none before the one before is done
  const thresholds = new Map(); // by statistic, once the reader has chosen one

  // Colours of the figures: from the threshold to the greatest value.
  const ramp = (...colours) => ({
    R: [0, ...colours.map(([red]) => red)],
    G: [0, ...colours.map(([, green]) => green)],
    B: [0, ...colours.map(([, , blue]) => blue)],
    A: [0, ...colours.map(() => 255)], // what is not beyond the threshold is not seen
    I: [0, 1, 128, 255],
  });
  const hot = ramp([193, 18, 31], [255, 123, 0], [255, 240, 77]);
  const cold = ramp([42, 60, 255], [31, 168, 255], [127, 245, 255]);

  function refuse(sentence) {
    find("start")?.remove();
    find("panel")?.remove();
    find("status").textContent = `${sentence} The figures show the maps.`;
  }

  function isAble() {
    if (typeof DecompressionStream === "undefined") return false;
    const context = document.createElement("canvas").getContext("webgl2");
    context?.getExtension("WEBGL_lose_context")?.loseContext();
    return Boolean(context);
  }

  async function inflate(text) {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  const block = (number) => inflate(find(`block-${number}`).textContent);

  // Where a box has values: its bits, the first index fastest and the lowest bit first.
  async function unpackInside(box) {
    const bits = await inflate(box.inside);
    const [nx, ny, nz] = box.shape;
    return Uint8Array.from({ length: nx * ny * nz }, (_, i) => (bits[i >> 3] >> (i & 7)) & 1);
  }

  // A value is the remainder of what its seven neighbours towards the origin predict, mod 2^16.
  function unpack(bytes, within, [nx, ny, nz]) {
    const found = new Int16Array(nx * ny * nz);
    const half = bytes.length / 2;
    const sx = 1, sy = nx, sz = nx * ny;
    let next = 0;
    for (let z = 0, i = 0; z < nz; z++) {
      for (let y = 0; y < ny; y++) {
        for (let x = 0; x < nx; x++, i++) {
          if (!within[i]) continue;
          const code = (bytes[next] << 8) | bytes[half + next];
          next++;
          let value = (code >>> 1) ^ -(code & 1);
          if (x) value += found[i - sx];
          if (y) value += found[i - sy];
          if (z) value += found[i - sz];
          if (x && y) value -= found[i - sx - sy];
          if (x && z) value -= found[i - sx - sz];
          if (y && z) value -= found[i - sy - sz];
          if (x && y && z) value += found[i - sx - sy - sz];
          found[i] = value;
        }
      }
    }
    return found;
  }

  // An image in memory, as NIfTI-1.
  function nifti({ shape, affine }, integers, step) {
    const buffer = new ArrayBuffer(352 + integers.byteLength);
    const header = new DataView(buffer);
    const sizes = [0, 1, 2].map((axis) => Math.hypot(...affine.map((row) => row[axis])));
    header.setInt32(0, 348, true);
    [3, ...shape, 1, 1, 1, 1].forEach((n, i) => header.setInt16(40 + 2 * i, n, true));
    header.setInt16(70, 4, true); // whole numbers of
    header.setInt16(72, 16, true); // 16 bits
    [1, ...sizes, 1, 1, 1, 1].forEach((mm, i) => header.setFloat32(76 + 4 * i, mm, true));
    header.setFloat32(108, 352, true);
    header.setFloat32(112, step, true);
    header.setUint8(123, 2); // mm
    header.setInt16(254, 2, true);
    affine.flat().forEach((number, i) => header.setFloat32(280 + 4 * i, number, true));
    header.setUint32(344, 0x0031_2b6e, true); // "n+1"
    new Int16Array(buffer, 352).set(integers);
    return buffer;
  }

  const isShown = (sign) => find("sign").value === "both" || find("sign").value === sign;
  const digits = () => Math.max(0, Math.ceil(-Math.log10(map.step)));
  const written = (number) => number.toFixed(digits()).replace("-", "\u2212");
  const withUnits = (number) => `${written(number)}${map.units && `\u00a0${map.units}`}`;

  function show(record) {
    const mine = ++asked;
    last = last.then(() => (mine === asked ? replace(record) : undefined));
    return last;
  }

  async function replace(record) {
    const box = catalogue.boxes[record.box];
    const within = await unpackInside(box);
    const integers = unpack(await block(record.block), within, box.shape);
    const isNewGround = !map || map.behind.block !== record.behind.block;
    let ground = null;
    if (isNewGround) {
      const around = catalogue.boxes[record.behind.box];
      const all = await unpackInside(around);
      ground = nifti(around, unpack(await block(record.behind.block), all, around.shape), 1);
    }
    const place = map ? here() : record.main;
    [map, values, inside] = [record, integers, within];
    while (nv.volumes.length > (isNewGround ? 0 : 1)) nv.removeVolume(nv.volumes.at(-1));
    const load = (image, name, colours, top) =>
      niivue.NVImage.new(image, name, colours, 1, null, 0, top);
    if (ground) nv.addVolume(await load(ground, "ground.nii", "gray", 255));
    nv.addVolume(await load(nifti(box, integers, record.step), "map.nii", "hot_map", record.limit));
    label();
    paint();
    goTo(place);
  }

  // What the controls say of the map.
  function label() {
    const step = 10 ** -digits();
    const end = Math.ceil(map.limit / step) * step;
    const name = map.signed ? `|${map.statistic}|` : map.statistic;
    const first = map.threshold ? `at the report\u2019s, ${map.threshold}`
      : `where ${catalogue.hidden} % of the voxels have no colour`;
    find("threshold-name").textContent =
      `Coloured: ${name} above${map.units && `, in ${map.units}`} (starts ${first})`;
    for (const input of [find("threshold"), find("threshold-number")]) {
      input.min = 0;
      input.max = end.toFixed(digits());
      input.step = step.toFixed(digits());
    }
    const chosen = Math.min(thresholds.get(map.statistic) ?? map.start, end);
    find("threshold").value = find("threshold-number").value = chosen.toFixed(digits());
    find("sign").closest("label").hidden = !map.signed;
    find("ground-name").textContent = `Behind it: ${map.behind.name}`;
    canvas.setAttribute("aria-label", `Slices of ${fields.map((key) => map[key]).join(", ")}`);
  }

  // Colours, by what the controls say.
  function paint() {
    if (!map) return;
    const threshold = Number(find("threshold").value);
    const end = Math.max(map.limit, threshold + map.step);
    const [under, over] = nv.volumes;
    const hasHot = !map.signed || isShown("positive");
    const hasCold = map.signed && isShown("negative");
    under.opacity = find("ground").checked ? 1 : 0;
    over.opacity = Number(find("opacity").value) / 100;
    // Beyond all values: nothing has these colours.
    [over.cal_min, over.cal_max] = hasHot ? [threshold, end] : [1e9, 2e9];
    [over.cal_minNeg, over.cal_maxNeg] = [-end, -threshold];
    over.colormapNegative = hasCold ? "cold_map" : "";
    nv.setRadiologicalConvention(find("radiological").checked);
    nv.updateGLVolume();
    find("convention").textContent = find("radiological").checked
      ? "Left of the pictures is right of the body (radiological convention)."
      : "Left of the pictures is left of the body (neurological convention).";
    find("cold").hidden = !hasCold;
    find("hot").hidden = !hasHot;
    find("cold-ends").textContent = `${written(-end)} to ${withUnits(-threshold)}`;
    find("hot-ends").textContent = `${written(threshold)} to ${withUnits(end)}`;
  }

  const here = () => Array.from(nv.frac2mm(nv.scene.crosshairPos, 0, true)).slice(0, 3);

  function goTo(place) {
    nv.scene.crosshairPos = nv.mm2frac(place, 0, true);
    nv.createOnLocationChange();
    nv.drawScene();
  }

  function tell(place) {
    if (!map) return;
    const { shape, inverse } = catalogue.boxes[map.box];
    const [i, j, k] = inverse.map((row) =>
      Math.round(row[0] * place[0] + row[1] * place[1] + row[2] * place[2] + row[3]));
    const isIn = [i, j, k].every((index, axis) => index >= 0 && index < shape[axis]);
    const voxel = i + shape[0] * (j + shape[1] * k);
    const told = isIn && inside[voxel] ? `${map.statistic} = ${withUnits(values[voxel] * map.step)}`
      : "no result here";
    const mm = [...place].slice(0, 3).map((x) => (Math.round(x) || 0).toString().replace("-", "\u2212"));
    find("place").textContent = `(${mm.join(", ")}) mm: ${told}`;
  }

  // Each choice leaves those of the next one; what was chosen stays where it is still there.
  function choose() {
    let left = catalogue.maps;
    for (const field of fields) {
      const select = find(field);
      const names = [...new Set(left.map((record) => record[field]))];
      const chosen = names.includes(select.value) ? select.value : names[0];
      if (names.join("\n") !== [...select.options].map(({ value }) => value).join("\n")) {
        select.replaceChildren(...names.map((name) => new Option(name, name)));
      }
      select.value = chosen;
      select.title = chosen; // where it is too long to be seen whole
      left = left.filter((record) => record[field] === chosen);
    }
    return show(left[0]);
  }

  function onKey(event) {
    const side = find("radiological").checked ? -1 : 1;
    const moves = {
      ArrowLeft: [-side, 0, 0], ArrowRight: [side, 0, 0],
      ArrowDown: [0, -1, 0], ArrowUp: [0, 1, 0],
      PageDown: [0, 0, -1], PageUp: [0, 0, 1],
    };
    event.stopImmediatePropagation(); // the library has keys of its own, which nobody knows
    if (!map || !(event.key in moves)) return;
    event.preventDefault();
    nv.moveCrosshairInVox(...moves[event.key]);
  }

  function listen() {
    const safely = (work) => () => Promise.resolve().then(work).catch(fail);
    for (const field of fields) find(field).addEventListener("change", safely(choose));
    for (const name of ["sign", "ground", "opacity", "radiological"]) {
      find(name).addEventListener("input", safely(paint));
    }
    const [slider, number] = [find("threshold"), find("threshold-number")];
    const take = () => {
      thresholds.set(map.statistic, Number(slider.value));
      paint();
    };
    slider.addEventListener("input", safely(() => {
      if (!map) return;
      number.value = Number(slider.value).toFixed(digits());
      take();
    }));
    number.addEventListener("input", safely(() => {
      if (!map || number.value === "") return;
      slider.value = number.value;
      take();
    }));
    find("peak").addEventListener("click", safely(() => map && goTo(
      !map.signed || !isShown("negative") ? map.peak : isShown("positive") ? map.main : map.lowest)));
    canvas.addEventListener("keydown", onKey, true);
    canvas.addEventListener("keyup", (event) => event.stopImmediatePropagation(), true);
  }

  const fail = (error) => refuse(`The viewer could not go on (${error.message}).`);

  async function start() {
    find("start").disabled = true;
    find("status").textContent = "Starting\u2026";
    // As a script of its own: until now it was a text, which costs nothing when the page opens.
    const library = document.createElement("script");
    library.textContent = new TextDecoder().decode(await inflate(find("library").textContent));
    document.head.append(library);
    catalogue = JSON.parse(find("catalogue").textContent);
    find("template").replaceWith(find("template").content);
    canvas = find("canvas");
    listen();
    nv = new niivue.Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.35, 0.85, 0.4, 1],
      crosshairGap: 3,
      crosshairWidth: 0.4,
      fontColor: [0.9, 0.9, 0.9, 1],
      dragAndDropEnabled: false,
      dragMode: 3, // the right button moves and zooms
      isForceMouseClickToVoxelCenters: true,
      logLevel: "silent",
      multiplanarShowRender: 0,
      scrollRequiresFocus: true, // the wheel goes on turning the page
    });
    nv.onLocationChange = ({ mm }) => tell(mm);
    nv.addColormap("hot_map", hot);
    nv.addColormap("cold_map", cold);
    await nv.attachToCanvas(canvas);
    await choose();
    find("start").remove();
    find("status").textContent = "";
    find("group").focus();
  }

  function offer() {
    if (!isAble()) {
      refuse("This browser has no WebGL 2, which the interactive viewer needs.");
      return;
    }
    find("status").textContent = "";
    const button = document.createElement("button");
    [button.type, button.id, button.textContent] = ["button", "viewer-start", "Start the viewer"];
    button.addEventListener("click", () => start().catch(fail));
    find("status").after(button);
  }

  // What a browser is able to is asked once the page is there, since that takes it a moment.
  (window.requestIdleCallback ?? setTimeout)(offer);
})();
