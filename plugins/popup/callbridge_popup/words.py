"""The words of the page one signs in on; those of the cards are in `web/words.js`."""

from __future__ import annotations

from collections.abc import Mapping

from bridge import Locale

SIGN_IN: Mapping[Locale, Mapping[str, str]] = {
    "en": {
        "title": "Calls",
        "lead": "Who is calling, on your screen, while your phone rings.",
        "extension": "Extension",
        "pin": "PIN",
        "enter": "Sign in",
        "hint": "You get both, or a link that signs you in, from whoever looks after your telephones.",
        "wrong": "This extension and this PIN do not belong together.",
        "too_often": "Too many tries. Wait a few minutes, or ask for a link.",
        "link": "This link is not valid any more. Ask for a new one.",
        "elsewhere": "Sign in on this page.",
    },
    "tr": {
        "title": "Çağrılar",
        "lead": "Telefonunuz çalarken arayan kişi ekranınızda.",
        "extension": "Dahili",
        "pin": "PIN",
        "enter": "Giriş yap",
        "hint": "Bunları ya da giriş bağlantınızı telefonlarınızdan sorumlu kişiden alabilirsiniz.",
        "wrong": "Dahili ve PIN birbirine uymuyor.",
        "too_often": "Çok fazla deneme yapıldı. Birkaç dakika bekleyin ya da bir bağlantı isteyin.",
        "link": "Bu bağlantı artık geçerli değil. Yenisini isteyin.",
        "elsewhere": "Bu sayfadan giriş yapın.",
    },
}
