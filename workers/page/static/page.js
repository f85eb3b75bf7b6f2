// Keeps #live as the server has it, while somebody looks. The focus stays at the link or region that has it.
"use strict";

const told = () => document.getElementById("live-state");

function keyOf(element) {
  if (!element || !element.closest("#live")) return null;
  return element.id ? `#${CSS.escape(element.id)}` : element.getAttribute("href") && `a[href="${CSS.escape(element.getAttribute("href"))}"]`;
}

function replace(found) {
  const live = document.getElementById("live");
  if (live.innerHTML === found.innerHTML) return;
  const focused = keyOf(document.activeElement);
  live.replaceChildren(...found.childNodes);
  if (focused) live.querySelector(focused)?.focus({ preventScroll: true });
}

async function look() {
  try {
    const answer = await fetch(new URL(location.pathname + location.search, location.origin), { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById("live");
    if (found && window.getSelection().isCollapsed) replace(found);
    told().textContent = "";
  } catch (error) {
    told().textContent = "This page is not up to date: its server does not answer.";
  }
}

async function follow() {
  if (!document.hidden) await look();
  setTimeout(follow, document.getElementById("live").dataset.seconds * 1000);
}

if (document.getElementById("live")) setTimeout(follow, document.getElementById("live").dataset.seconds * 1000);
