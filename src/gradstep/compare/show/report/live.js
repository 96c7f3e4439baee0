// A report that follows its study: asked for again and again, and written anew where there is more.
const PAUSE = 2000; // milliseconds from one look to the next
const state = document.getElementById("state");
const bar = document.getElementById("share");
let seen = "";

async function look() {
  try {
    const found = await (await fetch(`state?seen=${encodeURIComponent(seen)}`)).json();
    if (found.error) throw new Error(found.error);
    seen = found.token;
    document.title = found.heading;
    const left = found.left ? `, ${found.left}` : "";
    state.textContent = found.finished ? `Finished: ${found.made}.` : `Following the study: ${found.made}${left}.`;
    bar.value = found.share;
    bar.hidden = found.finished;
    if (found.main !== undefined) {
      const held = document.activeElement?.id;
      document.querySelector("main").innerHTML = found.main;
      if (held) document.getElementById(held)?.focus();
      await present(found.figures);
    }
    if (found.finished) return;
  } catch (error) {
    state.textContent = `The study cannot be read just now (${error.message}); trying again.`;
  }
  setTimeout(look, PAUSE);
}
look();
