// The live page of one simulator: it shows what the control API says, and calls it. No framework, nothing built.

import * as accounts from "./accounts.js";
import * as handsets from "./handsets.js";
import { $, attempt, call, say } from "./parts.js";
import { offerBehaviour, offerFaults, offerProfiles } from "./tuning.js";
import * as wire from "./wire.js";

const EVERY_MS = 1000;

async function look() {
  if (document.hidden) return;
  try {
    const shown = ["stats", "accounts", "sessions"].map((path) => call("GET", path));
    const [stats, customers, sessions] = await Promise.all(shown);
    accounts.count(stats);
    accounts.tell(customers, sessions);
    await handsets.refresh();
  } catch {
    // Beside the name it says already that nobody answers.
  }
}

function begun(told) {
  wire.clear();
  handsets.clear();
  say(told);
}

async function reset() {
  await call("POST", "reset");
  begun("As in the beginning: links closed, inboxes and log empty.");
}

$("reset").addEventListener("click", () => attempt(reset));
await wire.begin(handsets.overheard);
await handsets.begin();
await attempt(offerFaults);
await attempt(offerBehaviour);
await attempt(() => offerProfiles((name) => begun(`${name}: another day, links closed, inboxes and log empty.`)));
await look();
setInterval(look, EVERY_MS);
