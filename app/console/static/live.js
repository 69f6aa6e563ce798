// Parts of a page that are asked for anew by themselves (data-live): not while nobody sees them, not while paused.
"use strict";
(() => {
  const STORED = "scim-bridge-paused";
  const button = document.getElementById("pause");
  // Of each answer, what was open in the part that it replaces: another part may be replaced meanwhile.
  const opened = new WeakMap();

  const isPaused = () => button !== null && button.getAttribute("aria-pressed") === "true";
  const refresh = () => document.querySelectorAll("[data-live]").forEach((part) => htmx.trigger(part, "live"));

  if (button !== null) {
    button.hidden = false;
    button.setAttribute("aria-pressed", String(sessionStorage.getItem(STORED) === "true"));
    button.addEventListener("click", () => {
      const paused = !isPaused();
      button.setAttribute("aria-pressed", String(paused));
      sessionStorage.setItem(STORED, String(paused));
      if (!paused) refresh();
    });
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    const asksByItself = event.detail.elt.hasAttribute("data-live");
    if (asksByItself && (document.hidden || isPaused())) event.preventDefault();
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, target } = event.detail;
    opened.set(xhr, Array.from(target.querySelectorAll("details[id][open]"), (each) => each.id));
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    (opened.get(event.detail.xhr) ?? []).forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
    // The link that was followed is gone with the former page of results: go on at the beginning of this one.
    const lost = document.activeElement === null || document.activeElement === document.body;
    if (lost && event.detail.target.id === "result") {
      document.querySelector("#result .scroll")?.focus();
    }
  });
})();
