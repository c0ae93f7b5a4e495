"use strict";
// The page around Sheet: it draws, listens and stores. No request leaves it (the Content-Security-Policy of the page forbids any).
(() => {
  const study = JSON.parse(document.getElementById("study").textContent);
  const store = `musiczoo-study/${study.study}/${study.participant}`;
  const last = study.trials.length + 1; // page 0 are the instructions, the last one the export
  const main = document.getElementById("main");
  let state = Sheet.emptyState();
  let page = 0;
  let since = Date.now();
  let stored = true;
  let unsaved = false;
  let addresses = [];
  const visited = new Set();

  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  const notice = (text) => {
    const place = document.getElementById("notice");
    place.textContent = text;
    place.hidden = !text;
  };

  const save = () => {
    unsaved = true;
    try {
      localStorage.setItem(store, JSON.stringify({ page, text: Sheet.exported(study, state, new Date().toISOString()) }));
    } catch {
      if (stored) notice("This browser keeps nothing for this page: export your answers on the last page before you close it.");
      stored = false;
    }
  };

  const resume = () => {
    try {
      const kept = JSON.parse(localStorage.getItem(store) || "null");
      if (kept === null) return;
      state = Sheet.restored(study, kept.text);
      page = Math.min(last, Math.max(0, Number(kept.page) || 0));
      study.trials.slice(0, page).forEach((trial) => visited.add(trial.id));
    } catch {
      notice("Answers kept by this browser could not be read; the sheet starts anew.");
    }
  };

  // The address of an embedded file: made for the page that shows it, given back when it is left.
  const address = (name) => {
    const holder = document.getElementById(name);
    const bytes = Uint8Array.from(atob(holder.textContent), (letter) => letter.charCodeAt(0));
    addresses.push(URL.createObjectURL(new Blob([bytes], { type: holder.dataset.type })));
    return addresses.at(-1);
  };

  const showMaterial = (place, material, trial, side, name) => {
    if (material.sound) {
      const audio = element("audio", { controls: true, preload: "auto", src: address(material.sound) });
      audio.setAttribute("aria-label", `Sound ${name}`.trim());
      audio.addEventListener("play", () => {
        document.querySelectorAll("audio").forEach((other) => { if (other !== audio) other.pause(); });
        state = Sheet.played(state, trial.id, side);
        save();
      });
      place.append(audio);
    }
    if (material.picture) place.append(element("img", { src: address(material.picture), alt: `Music ${name}`.trim() }));
    if (material.caption) place.append(element("p", { className: "caption", textContent: material.caption }));
  };

  const choices = (trial, aspect, number) => {
    const box = element("fieldset", {}, element("legend", { textContent: aspect.question }));
    const row = element("div", { className: "choices" });
    study.values.forEach((value, index) => {
      const input = element("input", { type: "radio", name: `aspect-${number}`, value: String(value), checked: Sheet.answerOf(state, trial.id).values[aspect.name] === value });
      input.addEventListener("change", () => {
        state = Sheet.choose(study, state, trial.id, aspect.name, value);
        box.classList.remove("open");
        save();
        overview();
      });
      row.append(element("label", {}, input, study.words[index]));
    });
    box.append(row);
    if (study.kind === "rating") box.append(element("div", { className: "ends" }, element("span", { textContent: study.ends[0] }), element("span", { textContent: study.ends[1] })));
    box.classList.toggle("open", Sheet.openAspects(study, state, trial.id).includes(aspect.name));
    return box;
  };

  const showTrial = (trial) => {
    main.classList.toggle("missing", visited.has(trial.id));
    main.append(element("h2", { textContent: `${page} of ${study.trials.length}` }));
    const common = element("div", { className: "common" });
    showMaterial(common, trial.common, trial, "common", "");
    const sides = element("div", { className: "sides" });
    trial.sides.forEach((material, index) => {
      const name = trial.sides.length > 1 ? study.sides[index] : "";
      const side = element("section", { className: "side" });
      if (name) side.append(element("h3", { textContent: name }));
      showMaterial(side, material, trial, study.sides[index], name);
      sides.append(side);
    });
    if (common.childNodes.length) main.append(common);
    main.append(sides);
    if (trial.sides.length > 1 && trial.sides.some((material) => material.picture)) {
      const larger = element("button", { type: "button", textContent: "Larger pictures" });
      larger.addEventListener("click", () => { larger.textContent = sides.classList.toggle("large") ? "Side by side" : "Larger pictures"; });
      main.append(element("p", {}, larger));
    }
    study.aspects.forEach((aspect, number) => main.append(choices(trial, aspect, number)));
    const text = element("textarea", { rows: 2, value: Sheet.answerOf(state, trial.id).comment });
    text.addEventListener("input", () => { state = Sheet.comment(state, trial.id, text.value); save(); });
    main.append(element("p", {}, element("label", { className: "hint" }, "Comment (optional)", text)));
  };

  const showStart = () => {
    main.append(document.getElementById("start").content.cloneNode(true));
    document.getElementById("import").addEventListener("change", async (event) => {
      const file = event.target.files[0];
      if (!file) return;
      try {
        state = Sheet.restored(study, await file.text());
        save();
        notice("The answers were opened.");
        overview();
      } catch (error) {
        notice(error.message);
      }
    });
  };

  const showEnd = () => {
    main.append(document.getElementById("end").content.cloneNode(true));
    const open = Sheet.openTrials(study, state);
    const place = document.getElementById("open-trials");
    place.append(element("p", { textContent: open.length ? `Not answered in full: ${open.length} of ${study.trials.length}.` : `All ${study.trials.length} are answered. Thank you!` }));
    open.forEach((number) => {
      const button = element("button", { type: "button", textContent: String(number) });
      button.addEventListener("click", () => go(number));
      place.append(button, " ");
    });
    const text = Sheet.exported(study, state, new Date().toISOString());
    document.getElementById("file-name").textContent = Sheet.fileName(study);
    document.getElementById("as-text").value = text;
    document.getElementById("export").addEventListener("click", () => {
      const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: Sheet.fileName(study) });
      document.body.append(link);
      link.click();
      link.remove();
      unsaved = false;
      notice(open.length ? `Exported with ${open.length} not answered in full; you can go on and export again.` : "Exported. Please send the file.");
    });
  };

  const overview = () => {
    const done = study.trials.length - Sheet.openTrials(study, state).length;
    const bar = document.getElementById("progress");
    bar.max = study.trials.length;
    bar.value = done;
    document.getElementById("progress-text").textContent = `${done} of ${study.trials.length} answered`;
    document.querySelectorAll("#pages button").forEach((button, number) => {
      const trial = study.trials[number - 1];
      const status = trial ? Sheet.status(study, state, trial.id) : "";
      button.className = trial ? `${status}${status !== "done" && visited.has(trial.id) ? " skipped" : ""}` : "";
      if (trial) button.setAttribute("aria-label", `${number}: ${{ done: "answered", part: "answered in part", open: "not answered" }[status]}`);
      if (number === page) button.setAttribute("aria-current", "page");
      else button.removeAttribute("aria-current");
    });
  };

  const leave = () => {
    const trial = study.trials[page - 1];
    if (trial) {
      state = Sheet.spent(state, trial.id, (Date.now() - since) / 1000);
      visited.add(trial.id);
    }
    since = Date.now();
  };

  const show = () => {
    main.querySelectorAll("audio").forEach((audio) => { audio.pause(); audio.removeAttribute("src"); audio.load(); }); // stops reading ahead
    main.replaceChildren();
    addresses.forEach((old) => URL.revokeObjectURL(old));
    addresses = [];
    main.classList.remove("missing");
    if (page === 0) showStart();
    else if (page === last) showEnd();
    else showTrial(study.trials[page - 1]);
    document.getElementById("back").disabled = page === 0;
    document.getElementById("next").disabled = page === last;
    overview();
    main.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  };

  const go = (number) => {
    leave();
    if (stored) notice("");
    page = Math.min(last, Math.max(0, number));
    save();
    show();
  };

  // A letter or digit answers the question in focus, else the first one that is open, else the first.
  const answerByKey = (key) => {
    const index = study.keys.indexOf(key);
    const boxes = [...main.querySelectorAll("fieldset")];
    if (index < 0 || !boxes.length) return;
    const box = boxes.find((row) => row.contains(document.activeElement)) || boxes.find((row) => row.classList.contains("open")) || boxes[0];
    box.querySelectorAll("input")[index].click();
  };

  document.addEventListener("keydown", (event) => {
    const inside = event.target.closest ? event.target.closest("textarea, input, button, audio") : null;
    if (event.ctrlKey || event.metaKey || event.altKey || (inside && inside.type !== "radio")) return;
    if (event.key === "Enter" || (event.key === "ArrowRight" && !inside)) { event.preventDefault(); go(page + 1); }
    else if (event.key === "ArrowLeft" && !inside) go(page - 1);
    else answerByKey(event.key.toLowerCase());
  });
  document.getElementById("back").addEventListener("click", () => go(page - 1));
  document.getElementById("next").addEventListener("click", () => go(page + 1));
  // Answers are kept by the browser; where they are not, closing the page would lose them.
  window.addEventListener("beforeunload", (event) => { if (!stored && unsaved) event.preventDefault(); });
  window.addEventListener("pagehide", () => { leave(); save(); });

  const pages = document.getElementById("pages");
  ["Start", ...study.trials.map((_, index) => String(index + 1)), "Export"].forEach((name, number) => {
    const button = element("button", { type: "button", textContent: name });
    button.addEventListener("click", () => go(number));
    pages.append(button);
  });
  resume();
  show();
})();
