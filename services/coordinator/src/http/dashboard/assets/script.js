// Keeps a page up to date: follows the events, and has the parts that change (`data-live`) made anew by the coordinator.
// Without it every page reads the same, as of when it was loaded.
"use strict";

(() => {
  const body = document.body;
  const lost = document.getElementById("lost");
  const live = document.getElementById("live");
  if (!lost) return;

  // At most one look a second, however much happens.
  const PAUSE_MS = 1000;
  const RETRY_MS = 2000;
  const every = Number(body.dataset.refresh) || 0;
  let last = body.dataset.event;
  let source = null;
  let away = false;
  let looking = false;
  let again = false;
  let timer = 0;
  let lookedAt = performance.now();

  const say = (text, link) => {
    lost.classList.toggle("back", false);
    lost.replaceChildren(text);
    if (link) {
      const to = document.createElement("a");
      to.href = link;
      to.textContent = "Sign in";
      lost.append(" ", to);
    }
    lost.hidden = false;
  };

  const gone = () => {
    if (away) return;
    away = true;
    live.textContent = "";
    say("The coordinator does not answer. This page shows what it said last; trying again…");
  };

  const back = () => {
    live.textContent = "Live";
    if (!away) return;
    away = false;
    lost.classList.toggle("back", true);
    lost.replaceChildren("The coordinator is back.");
    setTimeout(() => { if (!away) lost.hidden = true; }, 3000);
  };

  // Whoever types, or has opened a question, is not disturbed.
  const busy = (part) =>
    part.querySelector("details.ask[open]") ||
    (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea"));

  const take = (fresh) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = part.id && fresh.getElementById(part.id);
      if (!next || next.innerHTML === part.innerHTML || busy(part)) continue;
      const open = [...part.querySelectorAll("details")].map((one) => one.open);
      const focused = part.contains(document.activeElement) ? path(part, document.activeElement) : null;
      const scrolled = [...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
      part.replaceChildren(...document.adoptNode(next).childNodes);
      part.querySelectorAll("details").forEach((one, at) => { if (open[at]) one.open = true; });
      part.querySelectorAll(".scroll").forEach((one, at) => { one.scrollLeft = scrolled[at] || 0; });
      if (focused) follow(part, focused)?.focus({ preventScroll: true });
    }
    last = fresh.body.dataset.event || last;
  };

  const path = (root, node) => {
    const steps = [];
    for (; node !== root; node = node.parentNode) steps.unshift([...node.parentNode.children].indexOf(node));
    return steps;
  };
  const follow = (root, steps) => steps.reduce((node, step) => node && node.children[step], root);

  const look = async () => {
    if (looking) { again = true; return; }
    looking = true;
    again = false;
    lookedAt = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      if (answer.redirected && new URL(answer.url).pathname === "/sign-in") {
        close();
        away = true;
        live.textContent = "";
        say("The session is over.", answer.url);
      } else if (answer.ok) {
        take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      }
    } catch {
      gone();
    }
    looking = false;
    if (again) soon();
  };

  const soon = () => {
    if (timer) return;
    const wait = Math.max(0, lookedAt + PAUSE_MS - performance.now());
    timer = setTimeout(() => { timer = 0; look(); }, wait);
  };

  const close = () => {
    if (source) source.close();
    source = null;
  };

  // Kinds are the names of events, which an EventSource must be told one by one.
  const KINDS = [
    "reset", "node.enrolled", "node.revoked", "node.credential_replaced", "model.created", "version.published",
    "version.imported", "run.created", "run.ended", "run.paused", "run.resumed", "round.opened", "round.abandoned",
    "channel.created", "channel.set_up", "channel.promoted", "channel.approved", "channel.advanced", "channel.reached",
    "channel.tripped", "channel.rolled_back", "channel.pinned", "channel.unpinned", "token.created", "token.revoked",
    "enrolment_token.created", "enrolment_token.revoked",
  ];

  const listen = () => {
    close();
    const stream = new EventSource(`/v1/events?after=${encodeURIComponent(last)}`);
    source = stream;
    stream.onopen = () => { const was = away; back(); if (was) look(); };
    stream.onerror = () => {
      if (source !== stream) return;
      gone();
      // A browser gives up on an answer that is no stream: a coordinator that is stopping, a session that is over.
      if (stream.readyState === EventSource.CLOSED) {
        close();
        setTimeout(() => { if (!source && !document.hidden) { look().then(() => { if (lost.querySelector("a") === null) listen(); }); } }, RETRY_MS);
      }
    };
    stream.addEventListener("bye", () => { gone(); });
    const heard = (event) => { if (event.lastEventId) last = event.lastEventId; soon(); };
    for (const kind of KINDS) stream.addEventListener(kind, heard);
  };

  const ago = () => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const s = Math.max(0, Math.floor((Date.now() - Number(time.dataset.ago)) / 1000));
      const text = s < 5 ? "just now" : s < 60 ? `${s}\u202fs ago` : s < 3600 ? `${Math.floor(s / 60)}\u202fmin ago`
        : s < 86400 ? `${Math.floor(s / 3600)}\u202fh ago` : `${Math.floor(s / 86400)}\u202fd ago`;
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // A page that nobody sees asks for nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
    } else {
      look();
      listen();
    }
  });
  addEventListener("pagehide", close);

  // One question at a time; Escape and a click elsewhere leave it.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const one of document.querySelectorAll("details.ask[open]")) {
      one.open = false;
      one.querySelector("summary").focus();
    }
  });
  document.addEventListener("click", (event) => {
    for (const one of document.querySelectorAll("details.ask[open]")) if (!one.contains(event.target)) one.open = false;
  });

  for (const part of document.querySelectorAll("[data-end]")) part.scrollLeft = part.scrollWidth;
  setInterval(() => {
    ago();
    if (every && !document.hidden && !away && performance.now() - lookedAt >= every) soon();
  }, 500);
  if (!document.hidden) listen();
})();
