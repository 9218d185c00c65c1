// The first screen is fetched anew every ten seconds while somebody looks at it. Without
// this file it is as complete, and stands still.
"use strict";
if (location.pathname === "/") {
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const r = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!r.ok || r.redirected) return;
      const doc = new DOMParser().parseFromString(await r.text(), "text/html");
      const main = doc.getElementById("main");
      if (main) document.getElementById("main").replaceWith(main);
    } catch (e) { /* the next one may get through */ }
  }, 10000);
}
