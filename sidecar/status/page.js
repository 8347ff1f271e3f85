"use strict";
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const shown = new Map(all("[data-part]").map((part) => [part.dataset.part, part.innerHTML]));
  let sorted = null;

  // Times in the words of whoever looks.
  function dates() {
    for (const time of all("time")) {
      const date = new Date(time.dateTime);
      time.title = date.toISOString();
      time.textContent = date.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    }
  }

  function sort() {
    const table = $("#table");
    if (!table || !sorted) return;
    const [name, down] = sorted;
    const heads = all("thead th", table);
    const at = heads.findIndex((head) => head.dataset.sort === name);
    if (at < 0) return;
    heads.forEach((head, n) => n === at ? head.setAttribute("aria-sort", down ? "descending" : "ascending") : head.removeAttribute("aria-sort"));
    const value = (row) => row.cells[at].dataset.value ?? row.cells[at].textContent.toLowerCase();
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if ((x === "") !== (y === "")) return x === "" ? 1 : -1; // what is not known stays below
      const order = heads[at].classList.contains("number") ? x - y : x < y ? -1 : x > y ? 1 : 0;
      return down ? -order : order;
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(compare));
  }

  function search() {
    const table = $("#table");
    if (!table) return;
    const words = $("#search").value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      count += !row.hidden;
    }
    $("#found").textContent = words.length ? `${count} of ${table.tBodies[0].rows.length}` : "";
  }

  function dress() {
    for (const item of all(".needs-script")) item.hidden = false;
    dates();
    sort();
    search();
  }

  // Only what has changed is replaced, and whoever is in it stays there.
  function replace(part, html) {
    const open = new Set(all("details[open]", part).map((item) => item.id));
    const scrolled = all(".scroll", part).map((item) => item.scrollLeft);
    const focus = part.contains(document.activeElement) ? document.activeElement.id : "";
    part.innerHTML = html;
    for (const item of all("details", part)) item.open = open.has(item.id);
    all(".scroll", part).forEach((item, n) => { item.scrollLeft = scrolled[n] ?? 0; });
    if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  }

  async function refresh() {
    let pause = 5000;
    try {
      const answer = await fetch("/", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.title = fresh.title;
      const icon = $("link[rel=icon]", fresh).href;
      if ($("link[rel=icon]").href !== icon) $("link[rel=icon]").href = icon;
      let changed = false;
      for (const part of all("[data-part]")) {
        const html = $(`[data-part=${part.dataset.part}]`, fresh)?.innerHTML;
        if (html === undefined || html === shown.get(part.dataset.part)) continue;
        shown.set(part.dataset.part, html);
        replace(part, html);
        changed = true;
      }
      if (changed) dress();
      document.body.classList.remove("asleep");
      if ($(".code")) pause = 2000;
    } catch {
      document.body.classList.add("asleep");
      document.title = "No answer from the sidecar";
    }
    setTimeout(refresh, document.hidden ? 4 * pause : pause);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const head = button.closest("th");
    if (head) {
      sorted = [head.dataset.sort, head.getAttribute("aria-sort") === "ascending"];
      sort();
    } else if (button.id === "copy") {
      await navigator.clipboard.writeText($(".code").textContent);
      $("#copied").textContent = "Copied.";
    } else if (button.id === "sync") {
      const answer = await fetch("/sync", { method: "POST", headers: { "Copilot-Sync": "1" } });
      $("#synced").textContent = await answer.text();
    }
  });
  $("#search").addEventListener("input", search);
  dress();
  setTimeout(refresh, 2000);
})();
