/** Seconds between two updates of a page that is being looked at. */
export const UPDATE_SECONDS = 15;

/**
 * Keeps a page up to date: fetches it again and puts the new content in place, with what was opened still
 * open. Where the collector does not answer, the page says since when, so that an old picture is never taken
 * for the present one. Without JavaScript the page reloads itself (a meta refresh in `frame`).
 */
export const SCRIPT: string = `
(() => {
  const stale = document.getElementById('stale');
  let good = Date.now();
  const openNames = () => [...document.querySelectorAll('main details[open]')].map((d) => d.id).filter(Boolean);
  const update = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { signal: AbortSignal.timeout(10000), cache: 'no-store' });
      if (!answer.ok) throw new Error(String(answer.status));
      const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const busy = document.activeElement && document.activeElement.matches('main input');
      const open = openNames();
      if (!busy && !String(getSelection())) document.querySelector('main').replaceWith(next.querySelector('main'));
      for (const name of open) document.getElementById(name)?.setAttribute('open', '');
      document.querySelector('.asof').replaceWith(next.querySelector('.asof'));
      document.title = next.title;
      good = Date.now();
      stale.hidden = true;
    } catch {
      const seconds = Math.round((Date.now() - good) / 1000);
      stale.textContent = 'The collector does not answer: what you see is ' + seconds + ' s old.';
      stale.hidden = false;
    }
  };
  setInterval(update, ${UPDATE_SECONDS * 1000});
  document.addEventListener('visibilitychange', update);
})();
`;
