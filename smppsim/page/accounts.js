// Counters, accounts and their sessions.

import { $, make, words } from "./parts.js";

const SHOWN = {
  submits: "submits",
  accepted: "accepted",
  delivered_to_handsets: "on handsets",
  receipts_sent: "receipts",
  replies_sent: "replies",
};
const ALARMING = [
  "refused", "throttled", "unanswered", "sessions_lost", "malformed", "redelivered", "deliveries_given_up",
];

const counted = (number) => number.toLocaleString("en");
let before = null;

export function count(stats) {
  const at = performance.now();
  const rate = before ? Math.max(0, Math.round(((stats.submits - before.submits) * 1000) / (at - before.at))) : 0;
  before = { at, submits: stats.submits };
  const counter = (name, value, alarm = "") =>
    make("div", { className: alarm }, make("dt", {}, name), make("dd", {}, counted(value)));
  const [submits, ...others] = Object.entries(SHOWN).map(([name, said]) => counter(said, stats[name]));
  const alarms = ALARMING.filter((name) => stats[name]).map((name) => counter(words(name), stats[name], "alarm"));
  $("counters").replaceChildren(submits, counter("a second", rate), ...others, ...alarms);
}

function session(one) {
  const state = [one.session, words(one.state), ...(one.cut ? [words(one.cut)] : [])].join(" · ");
  const about = `${one.peer || "in memory"} · ${one.unanswered} unanswered`;
  return make("li", {}, make("span", {}, state), make("span", {}, about));
}

function block(name, about, sessions) {
  const none = make("li", {}, make("span", { className: "hint" }, "no session"));
  return make("div", { className: "account" },
    make("h3", {}, name, make("span", {}, about)),
    make("ul", {}, ...(sessions.length ? sessions.map(session) : [none])));
}

function account(one, sessions) {
  const about = [`${counted(one.submits)} submits`, `${counted(one.busiest_second)} in the busiest second`];
  if (one.waiting) about.push(`${counted(one.waiting)} wait`);
  return block(one.system_id, about.join(" · "), sessions.filter((each) => each.account === one.system_id));
}

export function tell(accounts, sessions) {
  const strangers = sessions.filter((one) => one.account === null);
  $("account-list").replaceChildren(
    ...accounts.map((one) => account(one, sessions)),
    ...(strangers.length ? [block("not bound", "", strangers)] : []));
  name(accounts.map((one) => one.system_id));
}

// Wherever an account is chosen.
function name(accounts) {
  if ([...$("customers").options].map((option) => option.value).join() === accounts.join()) return;
  $("customers").replaceChildren(...accounts.map((value) => make("option", { value })));
  for (const form of ["filters", "change"]) {
    const all = make("option", { value: "" }, "all");
    $(form).elements.account.replaceChildren(all, ...accounts.map((one) => make("option", {}, one)));
  }
}
