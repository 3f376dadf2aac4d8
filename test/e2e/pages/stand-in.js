/** What VS Code gives a page, for a page in Chromium: runs before the page's own scripts, and is called with the theme to begin with. */
globalThis.standIn = theme => {
  let kept = JSON.parse(sessionStorage.getItem('state') ?? 'null') ?? undefined;
  globalThis.acquireVsCodeApi = () => ({
    postMessage: message => {
      const plain = Object.entries(message).map(([key, value]) => [key, value instanceof Uint8Array ? { $bytes: [...value] } : value]);
      void globalThis.sendToHost(JSON.stringify(Object.fromEntries(plain)));
    },
    getState: () => kept,
    setState: state => {
      kept = state;
      sessionStorage.setItem('state', JSON.stringify(state));
    },
  });
  const fromBase64 = data => Uint8Array.fromBase64?.(data) ?? Uint8Array.from(atob(data), char => char.charCodeAt(0));
  const unpacked = value => {
    if (Array.isArray(value)) return value.map(unpacked);
    if (value === null || typeof value !== 'object') return value;
    if (value.$array === undefined) return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, unpacked(each)]));
    const bytes = fromBase64(value.data);
    return new { Uint8Array, Float32Array, Int32Array }[value.$array](bytes.buffer);
  };
  globalThis.receiveFromHost = message => dispatchEvent(new MessageEvent('message', { data: unpacked(message) }));
  globalThis.putOnTheme = ({ classes, variables }) => {
    const own = [...document.body.classList].filter(name => !name.startsWith('vscode-'));
    document.body.className = [...own, ...classes.split(' ')].join(' ');
    document.documentElement.removeAttribute('style');
    for (const [name, value] of Object.entries(variables)) document.documentElement.style.setProperty(name, value);
  };
  document.addEventListener('readystatechange', () => {
    if (document.readyState === 'interactive') globalThis.putOnTheme(theme);
  });
};
