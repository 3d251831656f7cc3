// Keys and small comforts. Every page works without this file, except one-key labeling.
(() => {
  "use strict";
  const typing = (at) => at.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
  let went = 0;

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && typing(event.target)) { event.target.blur(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (Date.now() - went < 1200) {
      went = 0;
      const place = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
      if (place) { event.preventDefault(); place.click(); return; }
    }
    if (event.key === "g") { went = Date.now(); return; }
    const first = event.key === "/" && document.querySelector("[data-search]");
    if (first) { event.preventDefault(); first.focus(); return; }
    const pressed = document.querySelector(`[data-key="${CSS.escape(event.key)}"]:not(:disabled):not([hidden])`);
    if (pressed) { event.preventDefault(); pressed.click(); }
  });

  // Ctrl+Enter sends the form of a text area.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) event.target.form.requestSubmit();
  });

  // A page with data-live follows the server's events; each has the HTML of the element with its id.
  const place = document.querySelector("[data-live]");
  let events = null, silent = 0;
  const stale = (is) => { document.getElementById("stale").hidden = !is; };
  const wait = () => { silent ||= setTimeout(stale, 8000, true); };
  const rest = () => { clearTimeout(silent); silent = 0; stale(false); };
  const heard = () => { rest(); wait(); };
  const follow = () => {
    if (!place || document.hidden || events) return;
    const opened = events = new EventSource(place.dataset.live);
    opened.addEventListener("part", (event) => {
      const part = JSON.parse(event.data), shown = document.getElementById(part.id);
      if (shown) htmx.swap(shown, part.html, { swapStyle: "outerHTML" });
    });
    wait();
    for (const each of ["open", "part", "here"]) opened.addEventListener(each, heard);
    opened.addEventListener("end", () => { opened.close(); rest(); });
    opened.addEventListener("sign-in", (event) => location.assign(event.data));
    opened.addEventListener("error", () => {
      if (opened.readyState !== EventSource.CLOSED) return;  // the browser connects again by itself
      events = null;
      setTimeout(follow, 5000);
    });
  };
  // A browser has few connections to a server, so hidden pages give theirs back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && events) { events.close(); events = null; rest(); }
    follow();
  });
  follow();

  // What is sent stays on the page until the server takes it.
  const trouble = (event) => {
    if (event.detail.requestConfig.verb !== "post") return;
    const isNew = event.type === "htmx:beforeRequest", isLate = event.type === "htmx:timeout";
    document.getElementById("trouble").hidden = isNew || isLate;
    document.getElementById("late").hidden = !isLate;
  };
  for (const each of ["htmx:responseError", "htmx:sendError", "htmx:timeout", "htmx:beforeRequest"]) document.addEventListener(each, trouble);

  // An action that changes something asks first.
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });

  // Enter in a search field takes the first match.
  document.addEventListener("keydown", (event) => {
    const list = event.key === "Enter" && event.target.dataset.search && document.getElementById(event.target.dataset.search);
    if (!list) return;
    event.preventDefault();
    const first = [...list.children].find((each) => !each.hidden);
    if (first && event.target.value) first.click();
  });

  // A label or a choice that is still held is stored when its page is left.
  window.addEventListener("pagehide", () => {
    const form = document.getElementById("judge");
    if (form && (form.elements.held_label || form.elements.held_better)) navigator.sendBeacon(`${form.getAttribute("action")}/store`, new URLSearchParams(new FormData(form)));
  });

  // A list is filtered while one types.
  document.addEventListener("input", (event) => {
    const list = event.target.dataset.search && document.getElementById(event.target.dataset.search);
    if (!list) return;
    const words = event.target.value.toLowerCase().split(/\s+/);
    for (const each of list.children) {
      const text = each.textContent.toLowerCase();
      each.hidden = !words.every((word) => text.includes(word));
    }
  });
})();
