// callbridge in the page of a web CRM:
//
//   <script src="https://calls.example.com/popup/embed.js" data-token="…" data-card="bottom-right" async></script>
//
// Fires `callbridge:call` and `callbridge:status` on the document; with `data-card` it shows the card, too.

(() => {
  const script = document.currentScript;
  import(new URL("embedded.js", script.src)).then(
    (module) => module.start(script),
    () => console.error(`callbridge: ${location.origin} is not in allowed_origins, or the bridge cannot be reached`),
  );
})();
